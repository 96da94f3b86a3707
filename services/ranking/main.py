"""Puts the ranking service together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import grpc

from freshet.ranking.v1.ranking_pb2_grpc import add_RankingServiceServicer_to_server
from services.ranking.erased_users import ErasedUsers
from services.ranking.exposures import ExposureLog
from services.ranking.feature_instances import FeatureInstances
from services.ranking.model_slot import ModelSlot
from services.ranking.model_watch import ModelWatch
from services.ranking.recommender import Limits, Recommender
from services.ranking.servicer import RankingServicer
from services.ranking.settings import RankingSettings
from services.ranking.trending import Trending
from services.ranking.user_states import UserStates
from shared.adapters.bundle_store import bundle_store
from shared.adapters.catalogue import Catalogue, caught_up
from shared.adapters.connection import nats_connection
from shared.adapters.database import database_engine
from shared.adapters.log_writer import LogWriter
from shared.adapters.registry import Registry
from shared.adapters.streams import Names, ensure_streams
from shared.domain.owners import parse_owners
from shared.runtime.life_cycle import MAX_MESSAGE_BYTES, Service, serve

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A feature service that comes back is found within a second: gRPC's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


async def main(settings: RankingSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "ranking"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "ranking")
        )
        owners = parse_owners(settings.feature_address, settings.partitions)
        channels = {
            address: await stack.enter_async_context(grpc.aio.insecure_channel(address, CHANNEL_OPTIONS))
            for address in owners.instances
        }
        instances = FeatureInstances(owners, channels)
        await ensure_streams(
            nats, names, settings.duplicate_window_seconds, settings.replicas, settings.retention
        )
        catalogue, log = Catalogue(), LogWriter(nats)
        slot = ModelSlot(catalogue)
        store = bundle_store(settings.bundle_store, nats, names)
        watch = ModelWatch(slot, Registry(engine), store, settings.scorer_threads)
        trending = Trending(instances, settings.trending_refresh_seconds)
        erased = ErasedUsers()
        states = UserStates(instances, settings.feature_timeout_seconds, erased)
        erased.on_erasure = states.forget
        limits = Limits(settings.batch_size, settings.max_waiting)
        recommender = Recommender(states, trending, slot, catalogue, limits)
        exposures = ExposureLog(log, names, settings.partitions, erased)
        servicer = RankingServicer(recommender, exposures, slot, catalogue, settings.partitions)
        service = Service(
            rpc_services=["freshet.ranking.v1.RankingService"],
            register=partial(add_RankingServiceServicer_to_server, servicer),
            workers=[
                log.run,
                exposures.run,
                recommender.run,
                trending.follow,
                watch.refresh_catalogue,
                partial(catalogue.follow, nats, names),
                partial(watch.run, nats, names),
                partial(erased.follow, nats, names),
            ],
            ready=partial(caught_up, catalogue, nats, names),
            drain=exposures.drain,
        )
        await serve(settings, service)
