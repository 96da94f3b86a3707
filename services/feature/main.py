"""Puts the feature service together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import grpc
import structlog
from nats.aio.client import Client

from freshet.feature.v1.feature_pb2_grpc import add_FeatureServiceServicer_to_server
from freshet.feature.v1.state_pb2_grpc import add_StateServiceServicer_to_server
from services.feature.absent_users import AbsentUsers
from services.feature.checkpoints import Checkpoints, Pace
from services.feature.damaged_users import DamagedUsers
from services.feature.digesting import StateDigests
from services.feature.erasures import Erasures
from services.feature.facts import FactReader
from services.feature.peers import Peers
from services.feature.projection import Projection
from services.feature.reading import Reading
from services.feature.servicer import FeatureServicer, Sources
from services.feature.settings import FeatureSettings
from services.feature.state_servicer import StateServicer
from services.feature.time_travel import Past
from shared.adapters.archive import Archive
from shared.adapters.catalogue import Catalogue, caught_up
from shared.adapters.connection import nats_connection
from shared.adapters.database import database_engine, ensure_tables
from shared.adapters.erasures import list_erasures
from shared.adapters.log_reader import LogReader, LogSource
from shared.adapters.presets import load_preset
from shared.adapters.state_store import OwnershipLostError, StateStore
from shared.adapters.streams import Names, ensure_streams, last_position_of
from shared.domain.state import FoldSettings, State
from shared.runtime.life_cycle import Service, serve

_log = structlog.get_logger("feature")
TAKEN_OVER = 3
"""Exit code of an instance whose partitions another one has taken over."""


async def main(settings: FeatureSettings) -> None:
    """Run the service; end with TAKEN_OVER when its partitions have moved to another instance."""
    moved = False
    try:
        await serve_features(settings)
    except* OwnershipLostError as lost:
        moved = True
        _log.error("this instance ends", reason=str(lost.exceptions[0]), owned=settings.owned_partitions)
    if moved:
        raise SystemExit(TAKEN_OVER)


async def serve_features(settings: FeatureSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    fold = FoldSettings(load_preset(settings.domain), settings.history_length, settings.partitions)
    state = State(fold, settings.partition_list())
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "feature"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "feature")
        )
        await ensure_streams(
            nats, names, settings.duplicate_window_seconds, settings.replicas, settings.retention
        )
        store, erasures = StateStore(engine, fold.name), Erasures(state, nats, names)
        absent = AbsentUsers(state, store, DamagedUsers(state, nats, names, erasures))
        projection = Projection(state, absent, erasures, names)
        pace = Pace(settings.checkpoint_seconds, settings.users_in_memory)
        checkpoints = Checkpoints(projection, erasures, store, pace)
        peers = Peers(settings.owners(), settings.partition_list())
        await peers.connect(stack)
        catalogue, loaded = Catalogue(), asyncio.Event()
        subjects = _subjects(settings, names)

        async def follow() -> None:
            await loaded.wait()
            source = LogSource(names.events, subjects, start=projection.position + 1)
            await projection.follow(LogReader(nats, source))

        async def write_checkpoints() -> None:
            await loaded.wait()
            await checkpoints.run()

        async def ready() -> None:
            await ensure_tables(engine, settings.namespace)
            await caught_up(catalogue, nats, names)
            await store.load(state, settings.users_in_memory)
            projection.begin()
            last = await _last_position(nats, names, subjects)
            erasures.begin(last, await list_erasures(nats, names, last))
            loaded.set()
            await projection.recover(last)

        def register(server: grpc.aio.Server) -> None:
            reading, facts = Reading(fold.preset, catalogue), FactReader(engine, erasures)
            past = Past(fold, Archive(engine), nats, names, erasures)
            sources = Sources(reading, facts, past, StateDigests(projection, erasures), peers)
            add_FeatureServiceServicer_to_server(FeatureServicer(projection, sources), server)
            add_StateServiceServicer_to_server(StateServicer(projection), server)

        service = Service(
            rpc_services=["freshet.feature.v1.FeatureService", "freshet.feature.v1.StateService"],
            register=register,
            workers=[follow, write_checkpoints, partial(catalogue.follow, nats, names)],
            ready=ready,
            notice=projection.watchers.end,
            drain=checkpoints.write_if_possible,
        )
        await serve(settings, service)


async def _last_position(nats: Client, names: Names, subjects: list[str]) -> int:
    return max([await last_position_of(nats, names, subject) for subject in subjects or [names.subject(">")]])


def _subjects(settings: FeatureSettings, names: Names) -> list[str]:
    """What of the log this instance reads: all of it for all partitions, else two subjects for each."""
    if settings.owned_partitions == "all":
        return []
    partitions = settings.partition_list()
    events = [names.event_subject(partition, "*") for partition in partitions]
    return events + [names.erasure_subject(partition) for partition in partitions]
