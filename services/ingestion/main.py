"""Puts the ingestion service together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.ingestion.v1 import ingestion_pb2
from services.ingestion.archive.archived_ids import ArchivedIds
from services.ingestion.archive.archiver import Archiver, ArchiveSource
from services.ingestion.cleaning.cleaner import Cleaner, CleanerSize
from services.ingestion.cleaning.originals import Originals
from services.ingestion.doors.door import Door
from services.ingestion.erasing.erasure import ErasureTools, ErasureWorker
from services.ingestion.erasing.erasure_requests import ErasureRequests
from services.ingestion.intake import Intake
from services.ingestion.letters.dead_letters import DeadLetters
from services.ingestion.past import Past
from services.ingestion.servicer import CatalogueWriters, IngestionServicer
from services.ingestion.settings import IngestionSettings
from services.ingestion.validation import EventTimeBounds
from services.ingestion.writing.event_writer import EventWriter
from services.ingestion.writing.item_writer import ItemWriter
from services.ingestion.writing.log_tail import LogTail
from services.ingestion.writing.user_writer import UserWriter
from services.ingestion.writing.versions import VersionWriter
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.erasures import Erasures, ErasureStep
from shared.adapters.jetstream.log_writer import LogWriter
from shared.adapters.jetstream.streams import Names, ensure_streams
from shared.adapters.jetstream.user_traces import TraceFinder
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import database_engine, ensure_tables
from shared.adapters.postgres.erasure_store import ErasureStore
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.presets import load_preset
from shared.runtime.life_cycle import Service, serve
from shared.runtime.rpc import register

_SERVICE = ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"]


@dataclass(frozen=True)
class Tools:
    """What the service works with, open for as long as it runs."""

    settings: IngestionSettings
    names: Names
    nats: Client
    engine: AsyncEngine


async def main(settings: IngestionSettings) -> None:
    """Open what the service needs, run it, close it."""
    async with AsyncExitStack() as stack:
        tools = await _open(settings, stack)
        await serve(settings, _service(Workers(tools)))


async def _open(settings: IngestionSettings, stack: AsyncExitStack) -> Tools:
    """Connections that the stack closes, to streams that are there."""
    names = Names(settings.namespace)
    nats = await stack.enter_async_context(nats_connection(settings.nats_url, "ingestion"))
    engine = await stack.enter_async_context(
        database_engine(settings.database_url, settings.namespace, "ingestion")
    )
    await ensure_streams(nats, names, settings.streams)
    return Tools(settings, names, nats, engine)


class Workers:
    """What runs from start to stop, and the way of an event between them: doors, intake, log, archive."""

    def __init__(self, tools: Tools) -> None:
        settings, names, nats = tools.settings, tools.names, tools.nats
        self.tools = tools
        self.archive = Archive(tools.engine)
        self.tail = LogTail(nats, names, self.archive, settings.duplicate_window_seconds)
        self.log, self.letter_log = LogWriter(nats, self.tail.wrote), LogWriter(nats)
        self.archived = ArchivedIds(self.archive)
        self.writer = EventWriter(self.log, self.archived, self.tail, names)
        self.erasures = Erasures(self.forget)
        originals = Originals(nats, names, self.writer, self.archive, self.erasures)
        self.past = Past(self.archive, originals, self.erasures)
        self.intake = Intake(self.writer, _cleaner(settings), self.past)
        self.letters = DeadLetters(nats, self.letter_log, names)
        self.door = Door(nats, names, self.intake, self.letters)
        self.finder = TraceFinder(nats, names, settings.partitions)
        self.requests = ErasureRequests(nats, names, self.erasures, self.finder)

    def servicer(self) -> IngestionServicer:
        """The calls."""
        names = self.tools.names
        versions = VersionWriter(self.tools.nats, self.log, names)
        writers = CatalogueWriters(ItemWriter(versions, names), UserWriter(versions, names))
        return IngestionServicer(self.intake, writers, self.letters, self.requests)

    async def ready(self) -> None:
        """Return when calls can be answered; the workers must be running."""
        await self.tail.ready()
        await self.past.ready()

    def forget(self, step: ErasureStep) -> None:
        """Keep nothing of an erased user in memory: visits and what is taken back for them from the request on, so that
        none of it is told again; ids, if there were events, when these are gone."""
        receipt = step.receipt
        self.intake.forget(receipt.user_key)
        if step.complete and receipt.first_position:
            self.writer.forget(receipt.first_position, receipt.position)

    async def archive_log(self) -> None:
        """Keep the archive up with the log until cancelled."""
        tools = self.tools
        await ensure_tables(tools.engine, tools.settings.namespace)
        source = ArchiveSource(tools.nats, tools.names, self.tail.feed)
        await Archiver(source, self.archive, self.archived, tools.settings.archive_batch_events).run()

    async def erase(self) -> None:
        """Carry out erasures until cancelled."""
        tools, settings = self.tools, self.tools.settings
        await ensure_tables(tools.engine, settings.namespace)
        store, models = ErasureStore(tools.engine), ModelErasures(tools.engine)
        erasing = ErasureTools(tools.nats, tools.names, self.archive, store, models, self.finder)
        worker = ErasureWorker(erasing, self.erasures, self.requests, settings.erasure_settle_seconds)
        await worker.run()


def _cleaner(settings: IngestionSettings) -> Cleaner:
    bounds = EventTimeBounds.since_year(settings.earliest_event_year, settings.latest_event_skew_seconds)
    size = CleanerSize(settings.partitions, settings.cleaning_users)
    return Cleaner(load_preset(settings.domain).cleaning, bounds, size)


def _service(workers: Workers) -> Service:
    servicer, tools = workers.servicer(), workers.tools
    return Service(
        rpc_services=[_SERVICE.full_name],
        register=partial(register, service=_SERVICE, servicer=servicer),
        workers=[
            workers.log.run,
            workers.letter_log.run,
            partial(workers.tail.follow, workers.log),
            workers.door.run,
            workers.archive_log,
            workers.erase,
            partial(workers.erasures.follow, tools.nats, tools.names),
        ],
        ready=workers.ready,
        notice=servicer.end_streams,
        drain=workers.door.drain,
    )
