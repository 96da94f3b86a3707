"""A mapping that lets go of what was not used for the longest time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.lru import LeastRecentlyUsed


def filled(capacity: int, *keys: int) -> LeastRecentlyUsed[int, str]:
    entries: LeastRecentlyUsed[int, str] = LeastRecentlyUsed(capacity)
    for key in keys:
        entries.put(key, str(key))
    return entries


def test_reading_makes_an_entry_the_newest():
    entries = filled(2, 1, 2)
    entries.get(1)
    entries.put(3, "3")
    assert 1 in entries and 2 not in entries


def test_looking_leaves_an_entry_as_old_as_it_is():
    entries = filled(2, 1, 2)
    assert entries.peek(1) == "1"
    entries.put(3, "3")
    assert 1 not in entries


def test_what_is_dropped_is_gone_and_may_be_dropped_again():
    entries = filled(2, 1)
    entries.drop(1)
    entries.drop(1)
    assert entries.get(1) is None and len(entries) == 0


def test_no_room_at_all_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        LeastRecentlyUsed(0)


@given(st.integers(1, 5), st.lists(st.integers(0, 9)))
def test_the_last_keys_put_are_kept(capacity, keys):
    entries = filled(capacity, *keys)
    newest = list(dict.fromkeys(reversed(keys)))[:capacity]
    assert len(entries) == len(newest) and all(key in entries for key in newest)
