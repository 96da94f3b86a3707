"""Keeps the archive and the catalogue table in PostgreSQL up with the log."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from services.ingestion.archive.archive_feed import ArchiveFeed
from services.ingestion.archive.archived_ids import ArchivedIds
from shared.adapters.jetstream.log_range import read_range
from shared.adapters.jetstream.log_reader import LogRecord
from shared.adapters.jetstream.streams import Names, StreamError, log_end
from shared.adapters.postgres.archive import Archive, ArchiveSetBackError
from shared.adapters.postgres.archive_batch import ArchiveBatch
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.domain.stream_settings import UnfitSettingError

_log = structlog.get_logger("archiver")
GATHER_SECONDS = 0.1
"""What arrives meanwhile is archived together: a transaction costs as much as some hundred rows."""
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0

ARCHIVED_POSITION = Gauge(
    "freshet_archived_position", "Position of the log up to which the archive holds it."
)
UNREADABLE = Counter("freshet_unreadable_messages_total", "Log messages that no projection could read.")


class ArchiveSource(NamedTuple):
    """Where the archiver reads: the feed, and for what that does not hold the log."""

    connection: Client
    names: Names
    feed: ArchiveFeed


class Archiver:
    """One projection: log to archive. Erasures count for their position alone, which tells that all events before them
    are archived."""

    def __init__(
        self, source: ArchiveSource, archive: Archive, archived: ArchivedIds, batch_events: int
    ) -> None:
        self._source = source
        self._names = source.names
        self._archive = archive
        self._archived = archived
        self._batch_events = batch_events
        self._written = 0

    async def run(self) -> None:
        """Archive what arrives until cancelled; while PostgreSQL is away, wait for it. Raises UnfitSettingError where
        the archive is that of another log."""
        position = self._written = await _until_done(self._archive.position)
        await self._check_log(position)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until_done(self._archived.load))
            await self._follow(position)

    async def _check_log(self, archived: int) -> None:
        """NATS may have been set up anew, or restored from a backup: no event up to the archive's position would be
        archived, and ids of events that the log does not hold would be duplicates."""
        if (end := await self._log_end(archived)) < archived:
            raise UnfitSettingError(
                f"FRESHET_NATS_URL, FRESHET_DATABASE_URL: the log ends at {end}, and the archive reflects one up to "
                f"{archived}: it is that of another log. Restore the stream {self._names.events}, or begin anew "
                "with another FRESHET_NAMESPACE"
            )

    async def _log_end(self, archived: int) -> int:
        while True:
            try:
                return await log_end(self._source.connection, self._names, archived)
            except (nats.errors.Error, StreamError, TimeoutError, OSError) as error:
                _log.warning("archive waits for the log", reason=repr(error)[:200])
                await asyncio.sleep(_FIRST_RETRY_SECONDS)

    async def _follow(self, position: int) -> None:
        feed = self._source.feed
        await feed.begun()
        while True:
            try:
                if not feed.covers(position):
                    position = await self._catch_up(position)
                messages = await feed.take(position)
                position = await self._store_all(messages, position)
            except ArchiveSetBackError as error:
                _log.error("archive is filled again from the log", reason=str(error), written=self._written)
                position = self._written = error.position
                feed.begin(feed.position)  # what lies before that was handed on already, and is lost
                continue
            if len(messages) < self._batch_events:
                await asyncio.sleep(GATHER_SECONDS)

    async def _catch_up(self, position: int) -> int:
        """Read the log itself up to where the feed has come; the position of that."""
        connection, everything, end = (
            self._source.connection,
            [self._names.subject(">")],
            self._source.feed.position,
        )
        async for messages in read_range(connection, self._names, everything, end, position + 1):
            position = await self._store_all([message.record for message in messages], position)
        return max(position, end)

    async def _store_all(self, records: Sequence[LogRecord], position: int) -> int:
        """Store records; the position of the last one."""
        for start in range(0, len(records), self._batch_events):
            await self._store(records[start : start + self._batch_events])
        return records[-1].position if records else position

    async def _store(self, records: Sequence[LogRecord]) -> None:
        self._archived.note([event_id for each in records if (event_id := each.message_id)])
        batch = self._decode(records)
        await _until_done(lambda: self._archive.write(batch, self._written))
        self._written = batch.position
        ARCHIVED_POSITION.set(batch.position)

    def _decode(self, records: Sequence[LogRecord]) -> ArchiveBatch:
        batch = ArchiveBatch(records[-1].position)
        kinds = self._by_kind(records)
        for each in batch.add_events(kinds["events"]):
            _unreadable(each.position, each.reason)
        for kind, add in (("items", batch.add_item), ("users", batch.add_user)):
            for record in kinds[kind]:
                try:
                    add(record)
                except DecodeError as error:
                    _unreadable(record.position, repr(error))
        return batch

    def _by_kind(self, records: Sequence[LogRecord]) -> defaultdict[str, list[LogRecord]]:
        """Records by the first word of their subjects."""
        kinds: defaultdict[str, list[LogRecord]] = defaultdict(list)
        kind_at = len(self._names.subject(""))
        for record in records:
            kinds[record.subject[kind_at:].partition(".")[0]].append(record)
        return kinds


def _unreadable(position: int, reason: str) -> None:
    UNREADABLE.inc()
    _log.error("message cannot be archived", position=position, reason=reason)


async def _until_done(action):
    """The action's result, tried again with growing pauses while PostgreSQL is away."""
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await action()
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            _log.warning("archive waits for postgres", reason=repr(error)[:200])
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)
