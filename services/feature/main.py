"""Puts the feature service together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import grpc
import structlog
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.feature.v1 import feature_pb2, state_pb2
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
from shared.adapters.jetstream.catalogue import Catalogue, caught_up
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.erasures import list_erasures
from shared.adapters.jetstream.log_reader import LogReader, LogSource
from shared.adapters.jetstream.streams import Names, ensure_streams, last_position_of, log_end
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import database_engine, ensure_tables
from shared.adapters.postgres.state_store import OwnershipLostError, StateStore
from shared.adapters.presets import load_preset
from shared.domain.fold.state import FoldSettings, State
from shared.runtime.life_cycle import Service, serve
from shared.runtime.rpc import register
from shared.runtime.taken_over import ends_when_taken_over

_FEATURES = feature_pb2.DESCRIPTOR.services_by_name["FeatureService"]
_STATES = state_pb2.DESCRIPTOR.services_by_name["StateService"]
_log = structlog.get_logger("feature")


async def main(settings: FeatureSettings) -> None:
    """Run the service; end with TAKEN_OVER when its partitions have moved to another instance."""
    with ends_when_taken_over(OwnershipLostError):
        await serve_features(settings)


@dataclass(frozen=True)
class Tools:
    """What the service works with, open for as long as it runs."""

    settings: FeatureSettings
    fold: FoldSettings
    names: Names
    nats: Client
    engine: AsyncEngine
    peers: Peers


async def serve_features(settings: FeatureSettings) -> None:
    """Open what the service needs, run it, close it."""
    async with AsyncExitStack() as stack:
        tools = await _open(settings, stack)
        await serve(settings, _service(tools, Workers(tools)))


async def _open(settings: FeatureSettings, stack: AsyncExitStack) -> Tools:
    """Connections that the stack closes, to streams that are there."""
    names = Names(settings.namespace)
    fold = FoldSettings(load_preset(settings.domain), settings.history_length, settings.partitions)
    nats = await stack.enter_async_context(nats_connection(settings.nats_url, "feature"))
    engine = await stack.enter_async_context(
        database_engine(settings.database_url, settings.namespace, "feature")
    )
    await ensure_streams(nats, names, settings.streams)
    peers = Peers(settings.owners(), settings.partition_list())
    await peers.connect(stack)
    return Tools(settings, fold, names, nats, engine, peers)


class Workers:
    """What runs from start to stop: the state is loaded once, then what the log adds is folded and written behind."""

    def __init__(self, tools: Tools) -> None:
        settings = tools.settings
        self._tools = tools
        self._state = State(tools.fold, settings.partition_list())
        self._subjects = _subjects(settings, tools.names)
        self._store = StateStore(tools.engine, tools.fold.name)
        self._loaded = asyncio.Event()
        self.erasures = Erasures(self._state, tools.nats, tools.names)
        damaged = DamagedUsers(self._state, tools.nats, tools.names, self.erasures)
        absent = AbsentUsers(self._state, self._store, damaged)
        self.projection = Projection(self._state, absent, self.erasures, tools.names)
        pace = Pace(settings.checkpoint_seconds, settings.users_in_memory)
        self.checkpoints = Checkpoints(self.projection, self._store, pace)
        self.catalogue = Catalogue()

    async def follow(self) -> None:
        """Fold the log, from behind the loaded state on, until cancelled."""
        await self._loaded.wait()
        source = LogSource(self._tools.names.events, self._subjects, start=self.projection.position + 1)
        await self.projection.follow(LogReader(self._tools.nats, source))

    async def write_checkpoints(self) -> None:
        """Write checkpoints of the loaded state until cancelled."""
        await self._loaded.wait()
        await self.checkpoints.run()

    async def drain(self) -> None:
        """Write behind what was folded, once the state is loaded: before, there is nothing to write."""
        if self._loaded.is_set():
            await self.checkpoints.drain()

    async def ready(self) -> None:
        """Load the state, and wait until what the log holds now is folded."""
        settings, names, nats = self._tools.settings, self._tools.names, self._tools.nats
        await ensure_tables(self._tools.engine, settings.namespace)
        await caught_up(self.catalogue, nats, names)
        await self._forget_another_log()
        await self._store.load(self._state, settings.users_in_memory)
        self.projection.begin()
        last = await _last_position(nats, names, self._subjects)
        self.erasures.begin(last, await list_erasures(nats, names, last))
        self._loaded.set()
        await self.projection.recover(last)

    async def _forget_another_log(self) -> None:
        """NATS may have been set up anew, or restored from a backup: then what is stored reflects events that the log
        does not hold, and those that it holds at their positions would count as folded."""
        stored = await self._store.newest_position(self._state)
        end = await log_end(self._tools.nats, self._tools.names, stored)  # read last: both grow meanwhile
        if stored > end:
            _log.error("state of another log is folded anew", stored_position=stored, log_end=end)
            await self._store.forget(self._state)


def _service(tools: Tools, workers: Workers) -> Service:
    return Service(
        rpc_services=[_FEATURES.full_name, _STATES.full_name],
        register=partial(_register, tools, workers),
        workers=[
            workers.follow,
            workers.write_checkpoints,
            workers.erasures.run,
            partial(workers.catalogue.follow, tools.nats, tools.names),
        ],
        ready=workers.ready,
        notice=workers.projection.watchers.end,
        drain=workers.drain,
    )


def _register(tools: Tools, workers: Workers, server: grpc.aio.Server) -> None:
    facts = FactReader(tools.engine, workers.erasures)
    past = Past(tools.fold, Archive(tools.engine), tools.nats, tools.names, workers.erasures)
    digests = StateDigests(workers.projection, workers.erasures)
    reading = Reading(tools.fold.preset, workers.catalogue)
    sources = Sources(reading, facts, past, digests, tools.peers)
    register(server, _FEATURES, FeatureServicer(workers.projection, sources))
    register(server, _STATES, StateServicer(workers.projection))


async def _last_position(nats: Client, names: Names, subjects: list[str]) -> int:
    return max([await last_position_of(nats, names, subject) for subject in subjects or [names.subject(">")]])


def _subjects(settings: FeatureSettings, names: Names) -> list[str]:
    """What of the log this instance reads: all of it for all partitions, else two subjects for each."""
    if settings.owned_partitions == "all":
        return []
    partitions = settings.partition_list()
    events = [names.event_subject(partition, "*") for partition in partitions]
    return events + [names.erasure_subject(partition) for partition in partitions]
