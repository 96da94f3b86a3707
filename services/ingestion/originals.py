"""Finds the events that reversals take back."""

from __future__ import annotations

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.reversals import complete_reversal
from services.ingestion.event_writer import EventWriter
from shared.adapters.log_writer import LogUnavailableError
from shared.adapters.streams import Names
from shared.domain.violation import Violation


class Originals:
    """Reads events of the log by their ids."""

    def __init__(self, connection: Client, names: Names, writer: EventWriter) -> None:
        self._connection = connection
        self._names = names
        self._writer = writer

    async def complete(self, reversal: UserEvent) -> Violation | LogUnavailableError | None:
        """Put into a reversal what it takes back. Why it cannot be one, or an error when that cannot be told now."""
        try:
            original = await self._read(reversal.corrects_event_id)
        except LogUnavailableError as error:
            return error
        except (nats.errors.Error, TimeoutError, OSError) as error:
            return LogUnavailableError(f"the log was not read: {error!r}")
        return complete_reversal(reversal, original)

    async def _read(self, event_id: str) -> UserEvent | None:
        position = await self._writer.position_of(event_id)
        if position is None:
            return None
        try:
            stored = await self._connection.jetstream().get_msg(self._names.events, position)
            original = UserEvent.FromString(stored.data or b"")
        except (NotFoundError, DecodeError):
            return None
        return original if original.event_id == event_id else None
