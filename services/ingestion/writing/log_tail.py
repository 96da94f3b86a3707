"""Keeps the ids of recent events up with the log, so that a write knows what the archive does not hold yet: the writes
of other instances, those of this one before a crash, and those whose acknowledgement never came.

Decision: JetStream recognises an id for the length of its duplicate window, the archive from when it has caught up,
which takes as long as PostgreSQL is away. What lies between is followed here. What this instance wrote itself is taken
from its own hands as the log acknowledges it: to have it delivered and parsed again would cost a fifth of all that a
write costs. The log is read where it holds anything else, and for a while after that, since more will come from there.
Before a write, whatever the log took more than half a window ago must have been read; the window itself covers what
came since. So a write waits for the log's tail only when the reader was cut off for that long, and a log that cannot be
read takes no writes either. While PostgreSQL is away, ingestion goes on: then an id is new unless the newest 200,000
events, or what is not archived yet, hold it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress

import nats.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Counter

from services.ingestion.archive.archive_feed import ArchiveFeed
from services.ingestion.writing.own_writes import OwnWrites
from services.ingestion.writing.recent_ids import MOST_EVENTS, RECENT_EVENTS, RecentIds
from shared.adapters.jetstream.log_append import Answer, Record
from shared.adapters.jetstream.log_reader import LogReader, LogRecord, LogSource
from shared.adapters.jetstream.log_writer import LogUnavailableError, LogWriter
from shared.adapters.jetstream.streams import Names, StreamError, last_position_of, log_end, set_back
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import UNAVAILABLE

_log = structlog.get_logger("log_tail")
RETRY_SECONDS = 0.2
CHECK_SECONDS = 0.2
"""Without a write of our own for so long, the log is asked whether somebody else wrote."""
READ_SECONDS = 30.0
"""How long the log is read after it held what others wrote."""
ARCHIVE_SECONDS = 1.0
ARCHIVE_AGAIN_SECONDS = 5.0
WAIT_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.5
READY_SECONDS = 3600.0
NATS_AWAY = (nats.errors.Error, StreamError, TimeoutError, OSError)

LOG_DUPLICATES = Counter(
    "freshet_log_duplicates_total", "Events that the log holds under an id it held before."
)


class LogTail:
    """Follows the log. `ids` holds those of the events it has read, and what writers add; `feed` hands all it reads on
    to the archiver. window_seconds: JetStream's duplicate window."""

    def __init__(self, connection: Client, names: Names, archive: Archive, window_seconds: float) -> None:
        self.ids = RecentIds()
        self.feed = ArchiveFeed()
        self._own = OwnWrites()
        self._connection = connection
        self._names = names
        self._archive = archive
        self._window_seconds = window_seconds
        self._position = -1
        self._written = 0
        self._moved = asyncio.Event()
        self._enough_until = 0.0
        self._checking: asyncio.Task[None] | None = None
        self._ask_archive_from = 0.0

    def wrote(self, records: Sequence[Record], answers: Sequence[Answer]) -> None:
        """What became of records that this instance wrote; to be told before those who sent them. Raises
        UnfitSettingError where the log has put them before what it held: nobody would read them there."""
        written = self._own.note(records, answers, self._position)
        if written and written[0].position <= self._written:
            raise set_back(self._names.events, written[0].position - 1, self._written)
        self._written = written[-1].position if written else self._written
        self._remember(written)

    async def follow(self, writer: LogWriter | None = None) -> None:
        """Follow until cancelled, from the newest RECENT_EVENTS on and from what may not be archived yet. writer: of
        this instance, which tells `wrote`; None for none. Raises UnfitSettingError for a log that ends before what was
        read of it."""
        start = await self._start()
        self.feed.begin(start - 1)
        self._move(start - 1)
        stay_seconds = 0.0
        while True:
            await self._read(stay_seconds)
            await self._take_own(writer)
            stay_seconds = READ_SECONDS

    async def _read(self, stay_seconds: float) -> None:
        """Read the log for so long, and until what comes next is not there yet or was written here."""
        enough = time.monotonic() + stay_seconds
        reader = LogReader(self._connection, LogSource(self._names.events, (), self._position + 1))
        async with aclosing(reader.batches()) as batches:
            async for messages in batches:
                records = [message.record for message in messages]
                self._remember(records)
                await self._advance(records)
                self._own.drop(self._position)
                at_end = not messages[-1].behind or self._own.holds(self._position + 1)
                if at_end and time.monotonic() >= enough:
                    return

    async def _take_own(self, writer: LogWriter | None) -> None:
        """Take what this instance writes, until the log holds something else."""
        last = self._position
        while True:
            arrived = await self._own.arrival(CHECK_SECONDS)
            if records := self._own.take(self._position):
                await self._advance(records)
            elif len(self._own) or (self._position < last and not (writer and writer.busy)):
                return
            if not arrived:
                # It may hold what was written here and is not acknowledged yet: judged when nothing is under way.
                last = await self._last_position(self._names.subject(">"))
                await self._check_end(last)

    async def _check_end(self, last: int) -> None:
        """A newest message that lies before what was read may follow deleted ones, or the log was set back."""
        if last >= self._position:
            return
        with suppress(*NATS_AWAY):  # asked again soon
            if (end := await log_end(self._connection, self._names, self._position)) < self._position:
                raise set_back(self._names.events, end, self._position)

    def _remember(self, records: Sequence[LogRecord]) -> None:
        events, remember = self._names.subject("events."), self.ids.remember
        for position, subject, event_id, *_ in records:
            if event_id and subject.startswith(events) and remember(event_id, position):
                LOG_DUPLICATES.inc()

    async def _advance(self, records: Sequence[LogRecord]) -> None:
        self.feed.offer(records)
        self._move(records[-1].position)
        if self.ids.full:
            await self._ask_archive()

    async def _start(self) -> int:
        last = await self._last_event()
        await self._ask_archive()
        wanted = min(last - RECENT_EVENTS, self.ids.archived_position) + 1
        return max(1, wanted, last - MOST_EVENTS + 1)

    async def _last_event(self) -> int:
        return await self._last_position(self._names.event_subject("*", "*"))

    async def _last_position(self, subject: str) -> int:
        """Of the newest message, waiting for NATS as long as it takes."""
        while True:
            try:
                return await last_position_of(self._connection, self._names, subject)
            except NATS_AWAY as error:
                _log.warning("waiting for the log", reason=repr(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)

    async def _ask_archive(self) -> None:
        """How far the archive has come, now and then; while PostgreSQL is away, what was known last counts."""
        if time.monotonic() < self._ask_archive_from:
            return
        try:
            async with asyncio.timeout(ARCHIVE_SECONDS):
                self.ids.archived_position = await self._archive.position()
        except UNAVAILABLE as error:
            _log.info("archive not asked for its position", reason=repr(error)[:200])
        self._ask_archive_from = time.monotonic() + ARCHIVE_AGAIN_SECONDS

    def _move(self, position: int) -> None:
        self._position = position
        self._moved.set()

    async def ready(self) -> None:
        """Wait until what the log held at the start is read; `follow` must be running."""
        await self._catch_up(READY_SECONDS)

    async def up_to_date(self) -> None:
        """Return once all is read that the duplicate window may not cover. Raises LogUnavailableError when the log
        cannot be read in time."""
        if time.monotonic() <= self._enough_until:
            return
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._catch_up(WAIT_SECONDS))
        # Others may wait for it too: a call that is cancelled must not take it along.
        await asyncio.shield(self._checking)

    async def complete(self) -> None:
        """Return once all is read that the log holds now. Raises LogUnavailableError when that takes too long."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await self._reach(await self._last_event()):
                    pass
        except TimeoutError as error:
            raise LogUnavailableError("the log's tail was not read in time") from error

    async def _catch_up(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                while time.monotonic() > self._enough_until:
                    began = time.monotonic()
                    if await self._reach(await self._last_event()):
                        self._enough_until = began + self._window_seconds / 2
        except TimeoutError as error:
            raise LogUnavailableError("the log's tail was not read in time") from error

    async def _reach(self, position: int) -> bool:
        """Whether it was read soon; an event may also be deleted before it is."""
        try:
            async with asyncio.timeout(ASK_AGAIN_SECONDS):
                while self._position < position:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True
