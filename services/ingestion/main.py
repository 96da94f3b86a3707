"""Puts the ingestion service together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from freshet.ingestion.v1 import ingestion_pb2
from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from services.ingestion.archived_ids import ArchivedIds
from services.ingestion.archiver import Archiver, ArchiveSource
from services.ingestion.cleaning.cleaner import Cleaner, CleanerSize
from services.ingestion.cleaning.originals import Originals
from services.ingestion.dead_letters import DeadLetters
from services.ingestion.door import Door
from services.ingestion.erasure import ErasureTools, ErasureWorker
from services.ingestion.erasure_requests import ErasureRequests
from services.ingestion.event_writer import EventWriter
from services.ingestion.intake import Intake
from services.ingestion.item_writer import ItemWriter
from services.ingestion.log_tail import LogTail
from services.ingestion.past import Past
from services.ingestion.servicer import CatalogueWriters, IngestionServicer
from services.ingestion.settings import IngestionSettings
from services.ingestion.user_writer import UserWriter
from services.ingestion.validation import EventTimeBounds
from services.ingestion.versions import VersionWriter
from shared.adapters.archive import Archive
from shared.adapters.connection import nats_connection
from shared.adapters.database import database_engine, ensure_tables
from shared.adapters.erasure_store import ErasureStore
from shared.adapters.erasures import Erasures
from shared.adapters.log_writer import LogWriter
from shared.adapters.model_erasures import ModelErasures
from shared.adapters.presets import load_preset
from shared.adapters.streams import Names, ensure_streams
from shared.adapters.user_traces import TraceFinder
from shared.runtime.life_cycle import Service, serve
from shared.runtime.rpc import register

_SERVICE = ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"]


async def main(settings: IngestionSettings) -> None:
    """Open what the service needs, run it, close it."""
    names = Names(settings.namespace)
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_connection(settings.nats_url, "ingestion"))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "ingestion")
        )
        await ensure_streams(
            nats, names, settings.duplicate_window_seconds, settings.replicas, settings.retention
        )
        archive = Archive(engine)
        tail = LogTail(nats, names, archive, settings.duplicate_window_seconds)
        log, letter_log = LogWriter(nats, tail.wrote), LogWriter(nats)
        archived = ArchivedIds(archive)
        writer = EventWriter(log, archived, tail, names)
        bounds = EventTimeBounds.since_year(settings.earliest_event_year, settings.latest_event_skew_seconds)
        size = CleanerSize(settings.partitions, settings.cleaning_users)
        cleaner = Cleaner(load_preset(settings.domain).cleaning, bounds, size)
        past = Past(archive, Originals(nats, names, writer, archive))
        intake = Intake(writer, cleaner, past)
        letters = DeadLetters(nats, letter_log, names)
        door, versions = Door(nats, names, intake, letters), VersionWriter(nats, log, names)

        def forget(receipt: ErasureReceipt) -> None:
            writer.forget(receipt.first_position, receipt.position)
            intake.forget(receipt.user_key)

        erasures = Erasures(forget)
        finder = TraceFinder(nats, names, settings.partitions)
        requests = ErasureRequests(nats, names, erasures, finder)
        tools = ErasureTools(nats, names, archive, ErasureStore(engine), ModelErasures(engine), finder)
        writers = CatalogueWriters(ItemWriter(versions, names), UserWriter(versions, names))
        servicer = IngestionServicer(intake, writers, letters, requests)

        async def archive_log() -> None:
            await ensure_tables(engine, settings.namespace)
            source = ArchiveSource(nats, names, tail.feed)
            await Archiver(source, archive, archived, settings.archive_batch_events).run()

        async def erase() -> None:
            await ensure_tables(engine, settings.namespace)
            await ErasureWorker(tools, erasures, requests, settings.erasure_settle_seconds).run()

        service = Service(
            rpc_services=[_SERVICE.full_name],
            register=partial(register, service=_SERVICE, servicer=servicer),
            workers=[
                log.run, letter_log.run, partial(tail.follow, log), door.run, archive_log, erase,
                partial(erasures.follow, nats, names),
            ],
            ready=tail.ready,
            notice=servicer.end_streams,
            drain=door.drain,
        )  # fmt: skip
        await serve(settings, service)
