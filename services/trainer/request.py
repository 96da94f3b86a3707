"""What fields of the trainer's calls must be."""

from __future__ import annotations

from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument

_LONGEST_REQUEST_ID = 128


def check(violations: list[Violation]) -> None:
    """Raises a refusal that names every bad field."""
    if violations:
        raise invalid_argument(violations)


def request_id_violations(request_id: str) -> list[Violation]:
    """What is wrong with the id that makes a call safe to retry."""
    if len(request_id) <= _LONGEST_REQUEST_ID:
        return []
    text = f"has {len(request_id):,} characters; at most {_LONGEST_REQUEST_ID}"
    return [Violation("request_id", text, "OUT_OF_RANGE")]
