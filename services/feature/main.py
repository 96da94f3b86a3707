"""Puts the feature service together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import grpc

from freshet.feature.v1.feature_pb2_grpc import add_FeatureServiceServicer_to_server
from freshet.feature.v1.state_pb2_grpc import add_StateServiceServicer_to_server
from services.feature.projection import Projection
from services.feature.servicer import FeatureServicer
from services.feature.settings import FeatureSettings
from services.feature.state_servicer import StateServicer
from shared.adapters.catalogue import Catalogue, caught_up
from shared.adapters.connection import nats_connection
from shared.adapters.database import database_engine, ensure_tables
from shared.adapters.presets import load_preset
from shared.adapters.state_store import StateStore
from shared.adapters.streams import Names, ensure_streams
from shared.domain.partition_state import FOLD_VERSION, PartitionState
from shared.runtime.life_cycle import Service, serve


async def main(settings: FeatureSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    preset = load_preset(settings.domain)
    states = {part: PartitionState(preset, settings.history_length) for part in settings.partition_list()}
    fold = f"{FOLD_VERSION} {preset.name} {settings.history_length} {settings.partitions}"
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "feature"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "feature")
        )
        await ensure_streams(nats, names, settings.duplicate_window_seconds, settings.retention)
        projection = Projection(states, StateStore(engine, fold), settings.checkpoint_seconds)
        catalogue = Catalogue()
        subjects = _subjects(settings, names)

        async def ready() -> None:
            await ensure_tables(engine, settings.namespace)
            await caught_up(catalogue, nats, names)
            await projection.recover(nats, names, subjects)

        def register(server: grpc.aio.Server) -> None:
            features = FeatureServicer(projection, catalogue, preset, settings.partitions)
            add_FeatureServiceServicer_to_server(features, server)
            state = StateServicer(projection, preset, settings.partitions, settings.history_length)
            add_StateServiceServicer_to_server(state, server)

        service = Service(
            rpc_services=["freshet.feature.v1.FeatureService", "freshet.feature.v1.StateService"],
            register=register,
            workers=[
                partial(projection.follow, nats, names, subjects),
                partial(catalogue.follow, nats, names),
                projection.write_checkpoints,
            ],
            ready=ready,
            drain=projection.checkpoint_if_possible,
        )
        await serve(settings, service)


def _subjects(settings: FeatureSettings, names: Names) -> list[str]:
    """What of the log this instance reads: one wildcard for all partitions, else one subject for each."""
    if settings.owned_partitions == "all":
        return [names.subject("events.v1.*.*")]
    return [names.event_subject(partition, "*") for partition in settings.partition_list()]
