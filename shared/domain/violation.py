"""What is wrong with fields of what a caller sent, and the rule of ids, which every service holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

ID_CHARACTERS = 128


class Violation(NamedTuple):
    """One thing wrong with one field. field: its path, as "items[2].item_id". reason: a stable word for programs."""

    field: str
    description: str
    reason: str


def wrong_ids(field: str, ids: Sequence[str]) -> Iterator[Violation]:
    """Those of a list that no item can have."""
    for place, each in enumerate(ids):
        if not 1 <= (length := len(each)) <= ID_CHARACTERS:
            rule = f"has {length} characters; must be 1 to {ID_CHARACTERS}"
            yield Violation(f"{field}[{place}]", rule, "OUT_OF_RANGE")


def missing_user(user_id: str) -> Iterator[Violation]:
    """That of a required id that is not there."""
    if not user_id:
        yield Violation("user_id", f"is required, 1 to {ID_CHARACTERS} characters", "REQUIRED")


def too_long(field: str, text: str) -> Iterator[Violation]:
    """That of a text that is longer than an id."""
    if (length := len(text)) > ID_CHARACTERS:
        yield Violation(field, f"has {length} characters; at most {ID_CHARACTERS}", "OUT_OF_RANGE")
