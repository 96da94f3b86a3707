"""The intake over a log in memory, for tests of what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.cleaner import Cleaner, CleanerSize
from services.ingestion.intake import Intake
from services.ingestion.past import Past
from services.ingestion.validation import EventTimeBounds
from shared.adapters.jetstream.erasures import Erasures
from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.domain.presets.cleaning_steps import CleaningSteps
from tests.unit.ingestion.test_event_writer import Archive, Log, Tail, event_writer

BOUNDS = EventTimeBounds.since_year(1990, 3600)
AWAY = LogUnavailableError("away")


@dataclass
class Originals:
    """Finds what it is told to; the rest cannot be told."""

    events: dict[str, UserEvent | None] = field(default_factory=dict)

    async def find(self, event_ids: Sequence[str]) -> dict[str, UserEvent | LogUnavailableError | None]:
        return {each: self.events.get(each, AWAY) for each in event_ids}


def steps(*words: str, **parameters: dict) -> CleaningSteps:
    """These steps; parameters by step, with an underscore for a hyphen."""
    named = {word: {} for word in words}
    return CleaningSteps.from_mapping(
        named | {word.replace("_", "-"): each for word, each in parameters.items()}
    )


def cleaner(declared: CleaningSteps, users: int = 1_000) -> Cleaner:
    return Cleaner(declared, BOUNDS, CleanerSize(16, users))


def intake(
    log: Log,
    declared: CleaningSteps | None = None,
    archive: Archive | None = None,
    originals: Originals | None = None,
) -> Intake:
    """An intake of these steps, none by default."""
    archive = archive or Archive()
    writer = event_writer(log, archive, Tail())
    past = Past(archive, originals or Originals(), Erasures())
    return Intake(writer, cleaner(declared or CleaningSteps()), past)
