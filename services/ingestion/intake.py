"""From an event as it came to its outcome: clean, check, write. Both doors use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import EFFECTS
from services.ingestion.cleaning.cleaner import Cleaner, Receipt
from services.ingestion.event_writer import EVENTS_WRITTEN, EventWriter, ReadyEvent, Written
from services.ingestion.originals import Originals
from services.ingestion.past_visits import PastVisits
from shared.adapters.log_writer import LogUnavailableError
from shared.domain.violation import Violation

_REJECTED = EVENTS_WRITTEN.labels("rejected")


class Rejected(NamedTuple):
    """An event that may not enter the log, and why."""

    violations: list[Violation]


Outcome = Written | Rejected | LogUnavailableError


class Intake:
    """The way of events into the log."""

    def __init__(
        self, writer: EventWriter, cleaner: Cleaner, past_visits: PastVisits, originals: Originals
    ) -> None:
        self._writer = writer
        self._cleaner = cleaner
        self._past_visits = past_visits
        self._originals = originals

    def check(self, event: UserEvent) -> list[Violation]:
        """What is wrong with an event; writes nothing."""
        copy = UserEvent()
        copy.CopyFrom(event)
        return self._cleaner.check(copy, Receipt.at(time.time_ns()))

    @property
    def limits_sources(self) -> bool:
        """Whether it matters to `take` where events come from."""
        return self._cleaner.limits_sources

    async def take(self, events: Sequence[UserEvent], sources: Sequence[str] = ()) -> list[Outcome]:
        """Clean the events, refuse what is wrong, write the rest, and behind it what takes back earlier ones. One
        outcome per event, in order. sources: who sent each, where that matters. Raises LogOverloadedError: then none
        was written."""
        receipt = Receipt.at(time.time_ns())
        outcomes: list[Outcome | None] = [self._checked(event, receipt) for event in events]
        await self._prepare(events, outcomes)
        receipts = [receipt._replace(source=each) for each in sources] or [receipt] * len(events)
        ready, reversals = self._clean(events, outcomes, receipts)
        answers = iter(await self._writer.write([*ready, *reversals]))
        return [outcome if outcome is not None else next(answers) for outcome in outcomes]

    def _checked(self, event: UserEvent, receipt: Receipt) -> Rejected | None:
        violations = self._cleaner.check(event, receipt)
        if not violations:
            return None
        _REJECTED.inc()
        return Rejected(violations)

    async def _prepare(self, events: Sequence[UserEvent], outcomes: list[Outcome | None]) -> None:
        """Look up what cleaning needs to know, for all events that are still good."""
        good = [place for place, outcome in enumerate(outcomes) if outcome is None]
        await self._past_visits.recall([events[place].user_id for place in good])
        reversals = [place for place in good if events[place].corrects_event_id]
        found = await asyncio.gather(*[self._originals.complete(events[place]) for place in reversals])
        for place, answer in zip(reversals, found, strict=True):
            outcomes[place] = Rejected([answer]) if isinstance(answer, Violation) else answer

    def _clean(
        self, events: Sequence[UserEvent], outcomes: list[Outcome | None], receipts: Sequence[Receipt]
    ) -> tuple[list[ReadyEvent], list[ReadyEvent]]:
        ready: list[ReadyEvent] = []
        reversals: list[ReadyEvent] = []
        clean = self._cleaner.clean
        for place, (event, receipt) in enumerate(zip(events, receipts, strict=True)):
            if outcomes[place] is not None:
                continue
            cleaned = clean(event, receipt, reversals)
            if isinstance(cleaned, ReadyEvent):
                ready.append(cleaned)
            else:
                _REJECTED.inc()
                outcomes[place] = Rejected([cleaned])
        EFFECTS.publish()
        return ready, reversals
