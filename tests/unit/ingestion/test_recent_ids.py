"""Ids are forgotten when the archive has them, and the first position of an id is the one that counts."""

from __future__ import annotations

from services.ingestion.writing.recent_ids import RecentIds


def remembered(ids: RecentIds, *positions: int) -> list[int]:
    """Those of `positions` whose ids, which are named like them, are known."""
    return [position for position in positions if f"{position}" in ids]


def filled(recent: int, most: int, events: int, archived: int = 0) -> RecentIds:
    ids = RecentIds(recent, most)
    ids.archived_position = archived
    for position in range(1, events + 1):
        ids.remember(f"{position}", position)
    return ids


def test_an_id_lies_where_it_came_first_in_whichever_order_that_is_heard():
    ids = RecentIds()
    assert [ids.remember("a", position) for position in (7, 7, 3, 9)] == [False, False, True, True]
    assert ids.get("a") == 3


def test_archived_ids_beyond_the_recent_ones_are_forgotten_the_oldest_first():
    assert remembered(filled(recent=2, most=9, events=4, archived=4), 1, 2, 3, 4) == [3, 4]


def test_ids_that_are_not_archived_are_kept_beyond_the_recent_ones():
    assert remembered(filled(recent=2, most=9, events=4, archived=1), 1, 2, 3, 4) == [2, 3, 4]


def test_memory_is_bounded_however_long_nothing_is_archived():
    assert remembered(filled(recent=2, most=3, events=5), 1, 2, 3, 4, 5) == [3, 4, 5]


def test_what_gathered_while_nothing_was_archived_goes_again_once_it_is():
    ids = filled(recent=2, most=9, events=6)
    ids.archived_position = 20
    for position in range(7, 12):
        ids.remember(f"{position}", position)
    assert remembered(ids, *range(1, 12)) == [10, 11]
