"""What a request for features must be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.domain.violation import Violation, missing_user, too_long, wrong_ids
from shared.runtime.errors import invalid_argument

MAX_ITEMS = 1000


def check_user(user_id: str) -> None:
    """Raise INVALID_ARGUMENT for an id that no user has."""
    if violations := [*missing_user(user_id), *too_long("user_id", user_id)]:
        raise invalid_argument(violations)


def check_items(item_ids: Sequence[str]) -> None:
    """Raise INVALID_ARGUMENT naming every id that no item has, or their number."""
    if violations := list(_items(item_ids)):
        raise invalid_argument(violations)


def _items(item_ids: Sequence[str]) -> Iterator[Violation]:
    if 1 <= len(item_ids) <= MAX_ITEMS:
        yield from wrong_ids("item_ids", item_ids)
    else:
        yield Violation("item_ids", f"has {len(item_ids)}; must have 1 to {MAX_ITEMS:,}", "OUT_OF_RANGE")
