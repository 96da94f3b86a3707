"""What a request for features must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument

MAX_ITEMS = 1000
ID_CHARACTERS = 128


def check_user(user_id: str) -> None:
    """Raise INVALID_ARGUMENT for an id that no user has."""
    if not user_id:
        rule = f"is required, 1 to {ID_CHARACTERS} characters"
        raise invalid_argument([Violation("user_id", rule, "REQUIRED")])
    if (length := len(user_id)) > ID_CHARACTERS:
        rule = f"has {length} characters; at most {ID_CHARACTERS}"
        raise invalid_argument([Violation("user_id", rule, "OUT_OF_RANGE")])


def check_items(item_ids: Sequence[str]) -> None:
    """Raise INVALID_ARGUMENT naming every id that no item has, or their number."""
    if violations := list(_items(item_ids)):
        raise invalid_argument(violations)


def _items(item_ids: Sequence[str]) -> Iterator[Violation]:
    if not 1 <= len(item_ids) <= MAX_ITEMS:
        yield Violation("item_ids", f"has {len(item_ids)}; must have 1 to {MAX_ITEMS:,}", "OUT_OF_RANGE")
        return
    for place, item_id in enumerate(item_ids):
        if not 1 <= (length := len(item_id)) <= ID_CHARACTERS:
            rule = f"has {length} characters; must be 1 to {ID_CHARACTERS}"
            yield Violation(f"item_ids[{place}]", rule, "OUT_OF_RANGE")
