"""From an event as it came to its outcome: fill, check, write. Both doors use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nats.nuid import NUID

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.event_writer import EVENTS_WRITTEN, EventWriter, Written
from services.ingestion.validation import EventTimeBounds, event_violations
from shared.adapters.log_writer import LogUnavailableError
from shared.domain.violation import Violation


class Rejected(NamedTuple):
    """An event that may not enter the log, and why."""

    violations: list[Violation]


Outcome = Written | Rejected | LogUnavailableError


@dataclass
class Intake:
    """The way of an event into the log."""

    writer: EventWriter
    bounds: EventTimeBounds
    _ids: NUID = field(default_factory=NUID)

    def check(self, event: UserEvent) -> list[Violation]:
        """What is wrong with the event; changes nothing."""
        return event_violations(event, self.bounds, time.time())

    async def take(self, events: Sequence[UserEvent]) -> list[Outcome]:
        """Fill what is missing, refuse what is wrong, write the rest. One outcome per event, in order."""
        now_ns = time.time_ns()
        outcomes: list[Outcome | None] = [self._rejection(event, now_ns / 1e9) for event in events]
        valid = [event for event, outcome in zip(events, outcomes, strict=True) if outcome is None]
        for event in valid:
            self._fill(event, now_ns)
        written = iter(await self.writer.write(valid))
        return [outcome if outcome is not None else next(written) for outcome in outcomes]

    def _rejection(self, event: UserEvent, now: float) -> Rejected | None:
        violations = event_violations(event, self.bounds, now)
        if not violations:
            return None
        EVENTS_WRITTEN.labels("rejected").inc()
        return Rejected(violations)

    def _fill(self, event: UserEvent, now_ns: int) -> None:
        """An id and an event time where the sender gave none; always the ingest time."""
        if not event.event_id:
            event.event_id = self._ids.next().decode()
        if not event.HasField("event_time"):
            event.event_time.FromNanoseconds(now_ns)
        event.ingest_time.FromNanoseconds(now_ns)
