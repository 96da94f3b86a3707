"""What fields of the trainer's calls must be."""

from __future__ import annotations

from google.protobuf.message import Message

from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument

_LONGEST_REQUEST_ID = 128


def check(violations: list[Violation]) -> None:
    """Raises a refusal that names every bad field."""
    if violations:
        raise invalid_argument(violations)


def check_texts(request: Message) -> None:
    """Raises a refusal that names the texts with a NUL: PostgreSQL holds none."""
    texts = (field.name for field, value in request.ListFields() if isinstance(value, str) and "\0" in value)
    check([Violation(name, "holds a NUL character; leave it out", "MALFORMED") for name in texts])


def request_id_violations(request_id: str) -> list[Violation]:
    """What is wrong with the id that makes a call safe to retry."""
    if len(request_id) <= _LONGEST_REQUEST_ID:
        return []
    text = f"has {len(request_id):,} characters; at most {_LONGEST_REQUEST_ID}"
    return [Violation("request_id", text, "OUT_OF_RANGE")]
