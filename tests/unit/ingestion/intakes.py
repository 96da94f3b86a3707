"""The intake over a log in memory, for tests of what it decides."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.archived_ids import ArchivedIds
from services.ingestion.cleaning.cleaner import Cleaner
from services.ingestion.event_writer import EventWriter
from services.ingestion.intake import Intake
from services.ingestion.past_visits import PastVisits
from services.ingestion.validation import EventTimeBounds
from shared.adapters.streams import Names
from shared.domain.cleaning import CleaningRules, cleaning_rules
from shared.domain.violation import Violation
from tests.unit.ingestion.test_event_writer import Archive, Log, Tail

BOUNDS = EventTimeBounds.since_year(1990, 3600)
ALL_STEPS = {
    "normalise": {},
    "clamp-clock-skew": {},
    "fill-session": {},
    "fill-defaults": {"placement": "unknown", "device": "unknown"},
    "fill-dwell": {},
    "drop-accidental-clicks": {},
    "refuse-floods": {},
}


class NoOriginals:
    """Knows no event that could be taken back."""

    async def complete(self, reversal: UserEvent) -> Violation:
        return Violation("corrects_event_id", "names no event that is in the log", "NOT_FOUND")


def rules(*steps: str, **parameters: dict) -> CleaningRules:
    """Rules with these steps on, with their defaults; parameters by step, dashes as underscores."""
    given = {step.replace("_", "-"): values for step, values in parameters.items()}
    return cleaning_rules({**dict.fromkeys(steps), **given})


def cleaner(declared: CleaningRules) -> Cleaner:
    return Cleaner(declared, BOUNDS, 16)


def intake(log: Log, declared: CleaningRules | None = None) -> Intake:
    made = cleaner(declared if declared is not None else CleaningRules())
    archive = Archive()
    writer = EventWriter(log, ArchivedIds(archive), Tail(), Names())
    return Intake(writer, made, PastVisits(archive, made), NoOriginals())


def written(log: Log) -> list[UserEvent]:
    """What lies in the log."""
    return [UserEvent.FromString(record.payload) for record in log.records]


async def taken(events: Sequence[UserEvent], declared: CleaningRules) -> list[UserEvent]:
    """What becomes of events in the log."""
    log = Log()
    await intake(log, declared).take(events)
    return written(log)
