"""Puts the ingestion service together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from freshet.ingestion.v1.ingestion_pb2_grpc import add_IngestionServiceServicer_to_server
from services.ingestion.archiver import Archiver
from services.ingestion.door import Door
from services.ingestion.event_writer import EventWriter
from services.ingestion.intake import Intake
from services.ingestion.item_writer import ItemWriter
from services.ingestion.log_tail import LogTail
from services.ingestion.servicer import IngestionServicer
from services.ingestion.settings import IngestionSettings
from services.ingestion.validation import EventTimeBounds
from shared.adapters.archive import Archive
from shared.adapters.catalogue import Catalogue, caught_up
from shared.adapters.connection import nats_connection
from shared.adapters.database import database_engine, ensure_tables
from shared.adapters.log_writer import LogWriter
from shared.adapters.streams import Names, ensure_streams
from shared.runtime.life_cycle import Service, serve


async def main(settings: IngestionSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "ingestion"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "ingestion")
        )
        await ensure_streams(nats, names, settings.duplicate_window_seconds, settings.replicas)
        log, catalogue, archive = LogWriter(nats), Catalogue(), Archive(engine)
        tail = LogTail(nats, names, archive, settings.duplicate_window_seconds)
        writer = EventWriter(log, archive, tail, names, settings.partitions)
        bounds = EventTimeBounds.since_year(settings.earliest_event_year, settings.latest_event_skew_seconds)
        intake = Intake(writer, bounds)
        door = Door(nats, names, intake)
        servicer = IngestionServicer(intake, ItemWriter(log, catalogue, names))

        async def archive_log() -> None:
            await ensure_tables(engine, settings.namespace)
            await Archiver(nats, names, archive, settings.archive_batch_events).run()

        async def ready() -> None:
            await caught_up(catalogue, nats, names)
            await tail.ready()

        service = Service(
            rpc_services=["freshet.ingestion.v1.IngestionService"],
            register=partial(add_IngestionServiceServicer_to_server, servicer),
            workers=[
                log.run, tail.follow, partial(catalogue.follow, nats, names), door.run, archive_log,
            ],
            ready=ready,
            drain=door.drain,
        )  # fmt: skip
        await serve(settings, service)
