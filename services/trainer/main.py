"""Puts the trainer together."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from freshet.trainer.v1.trainer_pb2_grpc import add_TrainerServiceServicer_to_server
from services.trainer.delta_worker import DeltaTools, DeltaWorker
from services.trainer.erasures import follow
from services.trainer.model_evaluations import ModelEvaluations
from services.trainer.patience import patiently
from services.trainer.publishing import Publisher
from services.trainer.roles import roles_of
from services.trainer.runs import Runs
from services.trainer.schedule import Policy
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.training_run import Conductor, Tools
from services.trainer.triggers import Triggers
from shared.adapters.archive import Archive
from shared.adapters.bundle_store import bundle_store
from shared.adapters.connection import nats_connection
from shared.adapters.database import UNAVAILABLE, database_engine, ensure_tables
from shared.adapters.model_erasures import ModelErasures
from shared.adapters.presets import load_preset
from shared.adapters.registry import Registry
from shared.adapters.streams import Names, ensure_streams
from shared.domain.following import Roles
from shared.runtime.life_cycle import Service, serve


async def main(settings: TrainerSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "trainer"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "trainer")
        )
        await ensure_streams(
            nats, names, settings.duplicate_window_seconds, settings.replicas, settings.retention
        )
        archive, registry, erasures = Archive(engine), Registry(engine), ModelErasures(engine)
        store = bundle_store(settings.bundle_store, nats, names)
        publisher = Publisher(nats, names, registry, store)
        tools = Tools(nats, names, archive, registry, store, publisher)
        runs = Runs(registry, Conductor(tools, settings))
        stack.push_async_callback(runs.stop)
        servicer = TrainerServicer(runs, registry, erasures, ModelEvaluations(tools, settings))
        triggers = Triggers(runs, archive, registry, _policy(settings))

        async def note_erasures() -> None:
            await ensure_tables(engine, settings.namespace)
            await follow(nats, names, erasures)

        async def ready() -> None:
            await ensure_tables(engine, settings.namespace)
            await patiently(runs.open, UNAVAILABLE, math.inf)
            await patiently(publisher.announce_champion, UNAVAILABLE, math.inf)

        deltas = DeltaWorker(
            DeltaTools(nats, names, archive, registry, store, teaching(settings.domain), settings.delta_users)
        )

        async def publish_deltas() -> None:
            await ensure_tables(engine, settings.namespace)
            await deltas.run(settings.delta_seconds)

        workers: list[Callable[[], Awaitable[None]]] = [
            partial(triggers.run, settings.train_check_seconds),
            note_erasures,
        ]
        if settings.delta_seconds:
            workers.append(publish_deltas)
        service = Service(
            rpc_services=["freshet.trainer.v1.TrainerService"],
            register=partial(add_TrainerServiceServicer_to_server, servicer),
            workers=workers,
            ready=ready,
            drain=runs.stop,
        )
        await serve(settings, service)


def _policy(settings: TrainerSettings) -> Policy:
    return Policy(settings.train_interval_seconds, settings.train_every_events, settings.train_retry_seconds)


def teaching(domain: str) -> Roles:
    """What full models learn from, deltas learn from."""
    roles = roles_of(load_preset(domain))
    return Roles(*(kinds or frozenset() for kinds in (roles.history, roles.target, roles.seen)))
