"""From outcomes to the messages that tell them. Used by all kinds of calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from freshet.ingestion.v1 import ingestion_pb2
from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_DUPLICATE,
    WriteOutcome,
    WriteStatus,
)
from services.ingestion.intake import Outcome, Rejected
from services.ingestion.writing.event_writer import Written
from services.ingestion.writing.versions import Refused, VersionOutcome
from shared.adapters.jetstream.log_writer import Appended
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument

MAX_BATCH = 1000


def refuse_if(violations: Sequence[Violation]) -> None:
    """Raises Refusal INVALID_ARGUMENT when there are violations."""
    if violations:
        raise invalid_argument(violations)


def check_size(field: str, size: int, most: int = MAX_BATCH) -> None:
    """Raises Refusal INVALID_ARGUMENT for an empty or too large list."""
    if not 1 <= size <= most:
        refuse_if([Violation(field, f"has {size:,}; must have 1 to {most:,}", "OUT_OF_RANGE")])


def under(path: str, violations: Iterable[Violation]) -> list[Violation]:
    """The same violations, with their fields' path from the request down."""
    return [each._replace(field=f"{path}.{each.field}") for each in violations]


def outcome_message(identity: str, outcome: Outcome | VersionOutcome, path: str = "") -> WriteOutcome:
    """What became of one fact. path: of the fact in the request, put before the names of bad fields."""
    if isinstance(outcome, (Written, Appended)):
        return WriteOutcome(id=identity, status=status_of(outcome), position=outcome.position)
    if isinstance(outcome, (Rejected, Refused)):
        found = under(path, outcome.violations) if path else outcome.violations
        return WriteOutcome(
            id=identity, status=WriteStatus.WRITE_STATUS_REJECTED, violations=violation_messages(found)
        )
    return WriteOutcome(id=identity, status=WriteStatus.WRITE_STATUS_UNAVAILABLE)


def violation_messages(violations: Iterable[Violation]) -> list[ingestion_pb2.Violation]:
    """Violations as messages."""
    return [ingestion_pb2.Violation(**each._asdict()) for each in violations]


def status_of(outcome: Written | Appended) -> WriteStatus:
    """ACCEPTED or DUPLICATE."""
    return WRITE_STATUS_DUPLICATE if outcome.duplicate else WRITE_STATUS_ACCEPTED
