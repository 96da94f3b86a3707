"""Puts the trainer together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.trainer.v1 import trainer_pb2
from services.trainer.deltas.delta_worker import DeltaTools, DeltaWorker
from services.trainer.patience import patiently
from services.trainer.policies.schedule import Policy
from services.trainer.registry.bundle_retention import BundleRetention
from services.trainer.registry.erasures import follow
from services.trainer.registry.model_calls import ModelCalls
from services.trainer.registry.model_evaluations import ModelEvaluations
from services.trainer.registry.promoting import Promoting
from services.trainer.registry.rollback_watch import RollbackWatch
from services.trainer.roles import roles_of
from services.trainer.runs.drift_watch import DriftWatch
from services.trainer.runs.publishing import Publisher
from services.trainer.runs.runs import Runs
from services.trainer.runs.training_run import Conductor, Tools
from services.trainer.runs.triggers import Triggers
from services.trainer.servicer import TrainerServicer
from services.trainer.settings import TrainerSettings
from services.trainer.text_embedding import text_embedding
from shared.adapters.jetstream.bundle_store import bundle_store
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names, ensure_streams
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.archived_traffic import ArchivedTraffic
from shared.adapters.postgres.database import UNAVAILABLE, database_engine, ensure_tables
from shared.adapters.postgres.leadership import Leadership, LeadershipLostError
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.registry import Registry
from shared.adapters.presets import load_preset
from shared.domain.models.following import Roles
from shared.runtime.life_cycle import Service, serve
from shared.runtime.rpc import register
from shared.runtime.taken_over import ends_when_taken_over

_SERVICE = trainer_pb2.DESCRIPTOR.services_by_name["TrainerService"]


async def main(settings: TrainerSettings) -> None:
    """Run the service; end with TAKEN_OVER when another trainer has come to lead."""
    with ends_when_taken_over(LeadershipLostError):
        await serve_training(settings)


async def serve_training(settings: TrainerSettings) -> None:
    """Open what the service needs, run it, close it."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "trainer")
        )
        workers = Workers(settings, engine, await _open(settings, engine, stack))
        stack.push_async_callback(workers.tools.publisher.close)
        stack.push_async_callback(workers.runs.stop)
        await serve(settings, _service(workers))


async def _open(settings: TrainerSettings, engine: AsyncEngine, stack: AsyncExitStack) -> Tools:
    """A connection that the stack closes, to streams that are there, and what works through it."""
    names = Names(settings.namespace)
    nats = await stack.enter_async_context(nats_connection(settings.nats_url, "trainer"))
    await ensure_streams(nats, names, settings.streams)
    registry, store = Registry(engine), bundle_store(settings.bundle_store, nats, names)
    publisher = Publisher(nats, names, registry, store)
    return Tools(nats, names, Archive(engine), registry, store, publisher, ModelErasures(engine))


class Workers:
    """What runs from start to stop."""

    def __init__(self, settings: TrainerSettings, engine: AsyncEngine, tools: Tools) -> None:
        self.settings, self.tools = settings, tools
        self._engine = engine
        self.leadership = Leadership(engine, settings.namespace, "trainer")
        self._tables_made = asyncio.Event()
        self.promoting = Promoting(tools)
        self.runs = Runs(tools.registry, Conductor(tools, settings))
        history = teaching(settings.domain).history
        self.drift = DriftWatch(tools, ArchivedTraffic(engine), history, settings.train_drift_events)

    async def lead(self) -> None:
        """Lead once no other trainer does, until cancelled. Raises LeadershipLostError."""
        try:
            await self.leadership.keep()
        except LeadershipLostError:
            await self.runs.leave()
            raise

    def leading(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The work, from when this trainer leads and the tables are there."""

        async def wait_and_work() -> None:
            await self._tables_made.wait()
            await work()

        return wait_and_work

    async def trigger(self) -> None:
        """Start runs when they are due, until cancelled."""
        tools, policy = self.tools, _policy(self.settings)
        triggers = Triggers(self.runs, tools.archive, tools.registry, policy, self.drift)
        await triggers.run(self.settings.train_check_seconds)

    async def watch_drift(self) -> None:
        """Measure how far traffic moves away from what the champion learned from, until cancelled."""
        await self.drift.run(self.settings.train_drift_seconds)

    async def note_erasures(self) -> None:
        """Mark models that learned of erased users, until cancelled."""
        await follow(self.tools.connection, self.tools.names, self.tools.erasures)

    async def watch_champion(self) -> None:
        """Roll the champion back when it does worse than its predecessor, until cancelled."""
        watch = RollbackWatch(self.tools, self.settings, self.runs, self.promoting)
        await watch.run(self.settings.rollback_check_seconds)

    async def delete_old_bundles(self) -> None:
        """Delete bundles that nobody will return to, until cancelled."""
        await BundleRetention(self.tools, self.runs, self.promoting, self.settings.bundles_kept).run()

    async def publish_deltas(self) -> None:
        """Tell what the champion learns on, until cancelled."""
        tools, settings = self.tools, self.settings
        deltas = DeltaTools(
            tools.connection,
            tools.names,
            tools.archive,
            tools.registry,
            tools.store,
            roles=teaching(settings.domain),
            users=settings.delta_users,
            embedding=await asyncio.to_thread(text_embedding, settings.text_embeddings),
            kept_seconds=settings.deltas_max_age_seconds,
        )
        await DeltaWorker(deltas).run(settings.delta_seconds)

    async def ready(self) -> None:
        """Bring runs and the champion of an earlier process in order, once no other trainer leads."""
        await self.leadership.held.wait()
        await ensure_tables(self._engine, self.settings.namespace)
        self._tables_made.set()
        await patiently(self.tools.registry.promotions.adopt, UNAVAILABLE, math.inf)
        await patiently(self.runs.open, UNAVAILABLE, math.inf)
        await self.tools.publisher.tell()


def _service(workers: Workers) -> Service:
    tools, runs = workers.tools, workers.runs
    evaluations = ModelEvaluations(tools, workers.settings)
    models = ModelCalls(tools.registry, tools.store, tools.erasures, workers.promoting, workers.drift)
    servicer = TrainerServicer(runs, evaluations, models, workers.leadership)
    works = [workers.trigger, workers.watch_drift, workers.note_erasures]
    works += [workers.publish_deltas] if workers.settings.delta_seconds else []
    works += [workers.watch_champion] if workers.settings.rollback_check_seconds else []
    works += [workers.delete_old_bundles] if workers.settings.bundles_kept else []
    return Service(
        rpc_services=[_SERVICE.full_name],
        register=partial(register, service=_SERVICE, servicer=servicer),
        workers=[workers.lead, *map(workers.leading, works)],
        ready=workers.ready,
        drain=runs.stop,
    )


def _policy(settings: TrainerSettings) -> Policy:
    return Policy(
        settings.train_interval_seconds,
        settings.train_every_events,
        settings.train_retry_seconds,
        settings.train_drift_psi,
        settings.train_drift_events,
    )


def teaching(domain: str) -> Roles:
    """What full models learn from, deltas learn from."""
    roles = roles_of(load_preset(domain))
    return Roles(*(kinds or frozenset() for kinds in (roles.history, roles.target, roles.seen)))
