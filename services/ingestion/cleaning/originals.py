"""Finds the events that reversals take back: in this batch's writer's memory, in the log, in the archive.

The archive follows the log by moments, and other instances write too. So an event is called unknown only once the
archive holds all that the log held when it was asked for; until then the reversal is to be sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.event_writer import EventWriter
from shared.adapters.archive import Archive
from shared.adapters.log_writer import LogUnavailableError
from shared.adapters.streams import Names, StreamError, last_position_of

_READS_AT_ONCE = 32
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.05
_AWAY = (nats.errors.Error, StreamError, TimeoutError, OSError)
Found = UserEvent | LogUnavailableError | None


class Originals:
    """Looks events up by id."""

    def __init__(self, connection: Client, names: Names, writer: EventWriter, archive: Archive) -> None:
        self._connection = connection
        self._names = names
        self._writer = writer
        self._archive = archive
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)

    async def find(self, event_ids: Sequence[str]) -> dict[str, Found]:
        """The events by id; None for what was never written, LogUnavailableError where that cannot be told now."""
        read = await asyncio.gather(*[self._from_log(event_id) for event_id in event_ids])
        found: dict[str, Found] = dict(zip(event_ids, read, strict=True))
        left = [event_id for event_id, event in found.items() if event is None]
        return found | await self._from_archive(left) if left else found

    async def _from_log(self, event_id: str) -> UserEvent | None:
        """A recent event, by its position. None for one that is not recent, or that this node has not got yet."""
        position = await self._writer.position_of(event_id)
        if position is None:
            return None
        try:
            async with self._reading:
                stored = await self._connection.jetstream().get_msg(self._names.events, position, direct=True)
            event = UserEvent.FromString(stored.data or b"")
        except (JetStreamError, DecodeError, *_AWAY):
            return None
        return event if event.event_id == event_id else None

    async def _from_archive(self, event_ids: Sequence[str]) -> dict[str, Found]:
        try:
            last = await last_position_of(self._connection, self._names, self._names.subject("events.v1.*.*"))
        except _AWAY:
            return _cannot_be_told(event_ids, "the log cannot be asked for the event to take back")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            answer = await self._writer.questions.ask(lambda: self._archive.find(event_ids))
            if answer is None:
                return _cannot_be_told(event_ids, "the archive cannot be asked for the event to take back")
            position, payloads = answer
            found: dict[str, Found] = {key: UserEvent.FromString(each) for key, each in payloads.items()}
            missing = [event_id for event_id in event_ids if event_id not in found]
            if not missing or position >= last:
                return dict.fromkeys(missing) | found
            if time.monotonic() > deadline:
                return _cannot_be_told(missing, "the archive has not caught up with the log") | found
            await asyncio.sleep(_POLL_SECONDS)


def _cannot_be_told(event_ids: Sequence[str], reason: str) -> dict[str, Found]:
    return dict.fromkeys(event_ids, LogUnavailableError(f"{reason}; send the reversal again"))
