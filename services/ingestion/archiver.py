"""Keeps the archive and the catalogue table in PostgreSQL up with the log."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from services.ingestion.archived_ids import ArchivedIds
from shared.adapters.archive import Archive, ArchiveBatch
from shared.adapters.database import DEFECTS, UNAVAILABLE
from shared.adapters.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.streams import Names

_log = structlog.get_logger("archiver")
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0

ARCHIVED_POSITION = Gauge(
    "freshet_archived_position", "Position of the log up to which the archive holds it."
)
UNREADABLE = Counter("freshet_unreadable_messages_total", "Log messages that no projection could read.")


class Archiver:
    """One projection: log to archive."""

    def __init__(
        self, connection: Client, names: Names, archive: Archive, archived: ArchivedIds, batch_events: int
    ) -> None:
        self._connection = connection
        self._names = names
        self._archive = archive
        self._archived = archived
        self._batch_events = batch_events

    async def run(self) -> None:
        """Archive what arrives until cancelled; while PostgreSQL is away, wait for it."""
        position = await _until_done(self._archive.position)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_until_done(self._archived.load))
            await self._follow(position)

    async def _follow(self, position: int) -> None:
        # Erasures are read for their position alone: it tells that all events before one are archived.
        kinds = ("events.v1.*.*", "items.v1.*", "users.v1.*", "erasures.v1.*")
        subjects = [self._names.subject(kind) for kind in kinds]
        source = LogSource(self._names.events, subjects, start=position + 1)
        async for messages in LogReader(self._connection, source).batches():
            for start in range(0, len(messages), self._batch_events):
                await self._store(messages[start : start + self._batch_events])

    async def _store(self, messages: Sequence[LogMessage]) -> None:
        self._archived.note([event_id for each in messages if (event_id := each.message_id)])
        batch = self._decode(messages)
        await _until_done(lambda: self._archive.write(batch))
        ARCHIVED_POSITION.set(batch.position)

    def _decode(self, messages: Sequence[LogMessage]) -> ArchiveBatch:
        batch = ArchiveBatch(messages[-1].position)
        kinds = self._by_kind(messages)
        for each in batch.add_events(kinds["events"]):
            _unreadable(each.position, each.reason)
        for kind, add in (("items", batch.add_item), ("users", batch.add_user)):
            for message in kinds[kind]:
                try:
                    add(message)
                except DecodeError as error:
                    _unreadable(message.position, repr(error))
        return batch

    def _by_kind(self, messages: Sequence[LogMessage]) -> defaultdict[str, list[LogMessage]]:
        """Messages by the first word of their subjects."""
        kinds: defaultdict[str, list[LogMessage]] = defaultdict(list)
        kind_at = len(self._names.subject(""))
        for message in messages:
            kinds[message.subject[kind_at:].partition(".")[0]].append(message)
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
