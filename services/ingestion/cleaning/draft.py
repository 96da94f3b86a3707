"""An event on its way through cleaning."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.writing.event_writer import ReadyEvent
from shared.adapters.codecs.keys import signed
from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.adapters.postgres.archive_batch import DecodedEvent
from shared.domain.events.event import EVENT_CODE_BY_WORD
from shared.domain.violation import Violation

NO_VALUE = struct.pack("<f", math.nan)
_KEY_SIZE = 8


class Draft:
    """One event of a batch. One is made per event, so what is the same for most stands on the class.

    told: whether the sender gave the event time. event_id: once it is known for good. payload: a plain event,
    serialised; empty for any other. item_keys, values: of a plain event's items, uint64 and float32; values are empty
    where none is set. user_key: `user_key` of its user. session_id, placement: the sender's. time_ms: event time,
    milliseconds since 1970. tail: what is appended to its serialised form. violations: why it is refused; empty when it
    is not. failure: why it cannot be decided now. is_reversal: whether a sender takes an event back with it; original:
    that event; asked: whether the log was asked for it. entry: what goes into the log. new: whether floods and visits
    have taken it in. source: whose limit it took a token of. near_flood: whether its user is near the limit of floods.
    """

    event_id = ""
    payload = b""
    item_keys = b""
    values = b""
    user_key = 0
    time_ms = 0
    session_id = ""
    placement = ""
    tail = b""
    violations: Sequence[Violation] = ()
    failure: LogUnavailableError | None = None
    is_reversal = False
    original: UserEvent | None = None
    asked = False
    entry: ReadyEvent | None = None
    new = False
    source = ""
    near_flood = False

    def __init__(self, event: UserEvent, told: bool) -> None:
        self.event = event
        self.told = told

    def decoded(self) -> DecodedEvent | None:
        """What the archive wants to know of a plain event; None for any other."""
        if not self.payload:
            return None
        keys = self.item_keys
        values = self.values or NO_VALUE * (len(keys) // _KEY_SIZE)
        return signed(self.user_key), EVENT_CODE_BY_WORD[self.event.event_type], self.time_ms, keys, values
