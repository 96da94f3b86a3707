"""An event on its way through cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.event_writer import Entry
from shared.adapters.log_writer import LogUnavailableError
from shared.domain.violation import Violation


@dataclass(slots=True)
class Draft:
    """One event of a batch.

    user_key: `user_key` of its user. time_ms: event time, milliseconds since 1970; told: whether the sender gave it.
    tail: what is appended to its serialised form. violations: why it is refused; empty when it is not. failure: why it
    cannot be decided now. original: of a reversal, the event that it takes back. entry: what goes into the log. new:
    whether floods and visits have taken it in. near_flood: whether its user is near the limit of floods.
    """

    event: UserEvent
    user_key: int = 0
    time_ms: int = 0
    told: bool = True
    tail: bytes = b""
    violations: Sequence[Violation] = ()
    failure: LogUnavailableError | None = None
    original: UserEvent | None = None
    entry: Entry | None = None
    new: bool = False
    near_flood: bool = False
