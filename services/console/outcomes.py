"""What became of facts, one line each."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_DUPLICATE,
    Redrive,
    WriteOutcome,
    WriteStatus,
)
from services.console.failures import CommandFailed
from services.console.output import Unbroken

WRITTEN = (WRITE_STATUS_ACCEPTED, WRITE_STATUS_DUPLICATE)


def word(outcome: WriteOutcome | Redrive) -> str:
    """The status in one word, such as "accepted"."""
    return WriteStatus.Name(outcome.status).removeprefix("WRITE_STATUS_").lower()


def as_document(outcome: WriteOutcome) -> dict[str, Any]:
    """An outcome as JSON shows it."""
    violations = [
        {"field": each.field, "description": each.description, "reason": each.reason}
        for each in outcome.violations
    ]
    return {
        "id": outcome.id,
        "status": word(outcome),
        "position": outcome.position,
        "violations": violations,
    }


def as_table(
    name: str, names: Sequence[str], outcomes: Sequence[WriteOutcome], duplicate: str = "already in the log"
) -> RenderableType:
    """Outcomes for people. names: what each is about. duplicate: what DUPLICATE means here."""
    table = Table(name, "outcome", "")
    for each, outcome in zip(names, outcomes, strict=True):
        reasons = [f"{violation.field}: {violation.description}" for violation in outcome.violations]
        if outcome.status == WRITE_STATUS_DUPLICATE:
            reasons = [duplicate]
        table.add_row(Text(each), word(outcome), Text("\n".join(reasons)))
    return Unbroken(table)


def fail_if_not_written(unit: str, outcomes: Sequence[WriteOutcome]) -> None:
    """Raises CommandFailed when one of the outcomes is neither ACCEPTED nor DUPLICATE."""
    bad = Counter(word(outcome) for outcome in outcomes if outcome.status not in WRITTEN)
    if bad:
        told = ", ".join(f"{count} {status}" for status, count in sorted(bad.items()))
        raise CommandFailed(f"{bad.total()} of {len(outcomes)} {unit} failed: {told}")
