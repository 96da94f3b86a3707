"""Puts the ranking service together."""

from __future__ import annotations

from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial

import grpc
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.ranking.v1 import ranking_pb2
from services.ranking.answers.exposures import ExposureLog
from services.ranking.answers.recommender import Limits, Recommender
from services.ranking.features.erased_users import ErasedUsers
from services.ranking.features.feature_instances import FeatureInstances
from services.ranking.features.trending import Trending
from services.ranking.features.user_states import UserStates
from services.ranking.model.delta_watch import DeltaWatch
from services.ranking.model.loading import ModelLoader
from services.ranking.model.model_slot import ModelSlot
from services.ranking.model.model_watch import ModelWatch
from services.ranking.servicer import RankingServicer
from services.ranking.settings import RankingSettings
from shared.adapters.jetstream.catalogue import Catalogue, caught_up
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.log_writer import LogWriter
from shared.adapters.jetstream.streams import Names, ensure_streams
from shared.adapters.postgres.database import database_engine
from shared.adapters.postgres.registry import Registry
from shared.domain.owners import parse_owners
from shared.runtime.channels import CHANNEL_OPTIONS
from shared.runtime.life_cycle import Service, serve
from shared.runtime.listeners import CallLimits
from shared.runtime.rpc import register

_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"]


@dataclass(frozen=True)
class Tools:
    """What the service works with, open for as long as it runs."""

    settings: RankingSettings
    names: Names
    nats: Client
    engine: AsyncEngine
    instances: FeatureInstances
    loader: ModelLoader


async def main(settings: RankingSettings) -> None:
    """Open what the service needs, run it, close it."""
    async with AsyncExitStack() as stack:
        tools = await _open(settings, stack)
        await serve(settings, _service(tools, Workers(tools)))


async def _open(settings: RankingSettings, stack: AsyncExitStack) -> Tools:
    """Connections that the stack closes, to streams that are there."""
    names = Names(settings.namespace)
    nats = await stack.enter_async_context(nats_connection(settings.nats_url, "ranking"))
    engine = await stack.enter_async_context(
        database_engine(settings.database_url, settings.namespace, "ranking")
    )
    instances = await _feature_instances(settings, stack)
    await ensure_streams(nats, names, settings.streams)
    loader = stack.enter_context(closing(ModelLoader(settings)))
    return Tools(settings, names, nats, engine, instances, loader)


async def _feature_instances(settings: RankingSettings, stack: AsyncExitStack) -> FeatureInstances:
    owners = parse_owners(settings.feature_address, settings.partitions)
    channels = {
        address: await stack.enter_async_context(grpc.aio.insecure_channel(address, CHANNEL_OPTIONS))
        for address in owners.instances
    }
    return FeatureInstances(owners, channels)


class Workers:
    """What runs from start to stop, and what it shares."""

    def __init__(self, tools: Tools) -> None:
        settings = tools.settings
        self.log, self.catalogue, self.erased = LogWriter(tools.nats), Catalogue(), ErasedUsers()
        self.slot = ModelSlot(self.catalogue)
        self.watch = ModelWatch(self.slot, Registry(tools.engine), tools.loader.load, settings.load_share)
        self.trending = Trending(tools.instances, settings.trending_refresh_seconds)
        states = UserStates(tools.instances, settings.feature_timeout_seconds, self.erased)
        self.erased.on_erasure = states.forget
        limits = Limits(settings.batch_size, settings.max_waiting)
        self.recommender = Recommender(states, self.trending, self.slot, self.catalogue, limits)
        self.exposures = ExposureLog(self.log, tools.names, settings.partitions, self.erased)


def _service(tools: Tools, workers: Workers) -> Service:
    servicer = RankingServicer(
        workers.recommender, workers.exposures, workers.slot, workers.catalogue, tools.settings.partitions
    )
    return Service(
        rpc_services=[_SERVICE.full_name],
        register=partial(register, service=_SERVICE, servicer=servicer),
        limits=CallLimits(tools.settings.calls_per_connection),
        workers=[
            workers.log.run,
            workers.exposures.run,
            workers.recommender.run,
            workers.trending.follow,
            workers.watch.refresh_catalogue,
            workers.watch.renew,
            partial(workers.catalogue.follow, tools.nats, tools.names),
            partial(workers.watch.run, tools.nats, tools.names),
            partial(DeltaWatch(workers.slot).run, tools.nats, tools.names),
            partial(workers.erased.follow, tools.nats, tools.names),
        ],
        ready=partial(_ready, tools, workers),
        drain=workers.exposures.drain,
    )


async def _ready(tools: Tools, workers: Workers) -> None:
    """With the model, where there is one to be had: else each restart would be a while of answers without it."""
    await caught_up(workers.catalogue, tools.nats, tools.names)
    await workers.watch.tried(tools.nats, tools.names)
