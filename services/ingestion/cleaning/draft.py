"""An event on its way through cleaning."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.event_writer import ReadyEvent
from shared.adapters.log_writer import LogUnavailableError
from shared.domain.violation import Violation


class Draft:
    """One event of a batch. One is made per event, so what is the same for most stands on the class.

    told: whether the sender gave the event time. event_id: once it is known for good. user_key: `user_key` of its user.
    time_ms: event time, milliseconds since 1970. tail: what is appended to its serialised form. violations: why it is
    refused; empty when it is not. failure: why it cannot be decided now. is_reversal: whether a sender takes an event
    back with it; original: that event. entry: what goes into the log. new: whether floods and visits have taken it in.
    source: whose limit it took a token of. near_flood: whether its user is near the limit of floods.
    """

    event_id = ""
    user_key = 0
    time_ms = 0
    tail = b""
    violations: Sequence[Violation] = ()
    failure: LogUnavailableError | None = None
    is_reversal = False
    original: UserEvent | None = None
    entry: ReadyEvent | None = None
    new = False
    source = ""
    near_flood = False

    def __init__(self, event: UserEvent, told: bool) -> None:
        self.event = event
        self.told = told
