"""Finds the events that reversals take back: their position by the writer, their bytes in the log or the archive.

The writer knows what this instance wrote of late, what others wrote (it follows the log's tail), and asks the archive
for the rest; so an event is called unknown only when it was never written or is erased, also while its erasure is under
way: what is copied from it would outlast it. Until the writer can tell, the reversal is to be sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.archive.archive_questions import ArchiveQuestions
from services.ingestion.writing.event_writer import EventWriter
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.erasures import Erasures
from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.archive import Archive

_READS_AT_ONCE = 32
Found = UserEvent | LogUnavailableError | None


class Originals:
    """Looks events up by id."""

    def __init__(
        self, connection: Client, names: Names, writer: EventWriter, archive: Archive, erasures: Erasures
    ) -> None:
        self._connection = connection
        self._names = names
        self._writer = writer
        self._archive = archive
        self._erasures = erasures
        self._questions = ArchiveQuestions()
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)

    async def find(self, event_ids: Sequence[str]) -> dict[str, Found]:
        """The events by id; None for what is not there, LogUnavailableError where that cannot be told now."""
        found = await asyncio.gather(*[self._find(event_id) for event_id in event_ids])
        return dict(zip(event_ids, found, strict=True))

    async def _find(self, event_id: str) -> Found:
        try:
            async with self._reading:
                position = await self._writer.position_of(event_id)
                if position is None:
                    return None
                event = UserEvent.FromString(await self._payload(position))
        except LogUnavailableError as error:
            return error
        except DecodeError:
            return None
        if self._erasures.covers(user_key(event.user_id), position):
            return None
        return event if event.event_id == event_id else None

    async def _payload(self, position: int) -> bytes:
        """The event at a position: from the log, or from the archive when the log's retention has taken it."""
        try:
            stored = await self._connection.jetstream().get_msg(self._names.events, position)
            return bytes(stored.data or b"")
        except NotFoundError:
            payload = await self._questions.ask(lambda: self._archive.payload_at(position))
        except (JetStreamError, nats.errors.Error, TimeoutError, OSError) as error:
            raise LogUnavailableError(f"the log was not read: {error!r}; send the reversal again") from error
        if payload is None:
            raise LogUnavailableError("the archive was not read; send the reversal again")
        return payload
