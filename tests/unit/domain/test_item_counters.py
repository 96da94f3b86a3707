"""Counters of items: whole numbers, decayed sums, and their merge over partitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from shared.domain.event import EventType
from shared.domain.item_counters import ItemCounters, merge_item, trending
from tests.builders import DAY_MS, START_MS, VIDEO, event
from tests.unit.domain.strategies import logs


def counters(events) -> ItemCounters:
    counted = ItemCounters(VIDEO)
    for each in events:
        counted.apply(each)
    return counted


def scores(*parts: ItemCounters, limit: int = 10) -> list[int]:
    return trending(parts, VIDEO, limit)[0].tolist()


def test_nothing_is_known_of_an_item_never_named():
    assert counters([]).read(1) is None


def test_a_decayed_count_halves_in_a_half_life():
    week = 7 * DAY_MS
    record = counters([event(1), event(2, time_ms=START_MS + week)]).read(1)
    assert record["event_count"][EventType.CLICK] == 2
    assert record["decayed_count"][EventType.CLICK] == pytest.approx(1.5)


def test_a_late_event_counts_what_it_would_have_decayed_to():
    week = 7 * DAY_MS
    record = counters([event(1), event(2, time_ms=START_MS - week)]).read(1)
    assert record["decayed_count"][EventType.CLICK] == pytest.approx(1.5)
    assert record["time_ms"] == START_MS


@given(logs())
def test_partitions_merge_to_what_one_partition_counts(log):
    whole = counters(log)
    parts = [counters(each for each in log if each.user_key % 2 == side) for side in (0, 1)]
    for key in whole.keys():
        merged = merge_item([part for each in parts if (part := each.read(key)) is not None], VIDEO)
        expected = whole.read(key)
        np.testing.assert_array_equal(merged["event_count"], expected["event_count"])
        np.testing.assert_allclose(merged["decayed_count"], expected["decayed_count"], rtol=1e-9, atol=1e-12)
        assert merged["time_ms"] == expected["time_ms"]


@given(logs())
def test_the_order_of_events_does_not_count(log):
    there, back = counters(log), counters(reversed(log))
    for key in there.keys():
        expected = there.read(key)["decayed_count"]
        np.testing.assert_allclose(back.read(key)["decayed_count"], expected, rtol=1e-9, atol=1e-12)


def test_merging_nothing_gives_zeros():
    assert merge_item([], VIDEO)["event_count"].sum() == 0


def test_trending_is_ordered_by_weight():
    liked = event(1, items=(5,), event_type=EventType.LIKE)
    assert scores(counters([event(2, items=(4,)), liked])) == [5, 4]


def test_trending_prefers_what_is_recent():
    old = [event(n, items=(5,), time_ms=START_MS - 70 * DAY_MS) for n in (1, 2, 3)]
    assert scores(counters([*old, event(4, items=(9,))])) == [9, 5]


def test_trending_breaks_ties_by_the_smaller_key():
    assert scores(counters([event(1, items=(9, 3, 6))])) == [3, 6, 9]


def test_trending_leaves_out_what_is_disliked():
    assert scores(counters([event(1, items=(5,), event_type=EventType.DISLIKE)])) == []


def test_trending_adds_up_partitions():
    several = [counters([event(1, items=(5, 4))]), counters([event(2, items=(5,))])]
    keys, values = trending(several, VIDEO, 10)
    assert (keys.tolist(), values.tolist()) == ([5, 4], [2.0, 1.0])


def test_trending_obeys_its_limit():
    assert scores(counters([event(1, items=(1, 2, 3))]), limit=2) == [1, 2]


def test_trending_of_nothing_is_empty():
    assert scores() == scores(counters([])) == []


def test_more_items_than_the_first_table_holds_keep_their_counts():
    counted = counters([event(n, items=(n,)) for n in range(1, 1001)])
    assert {int(counted.read(n)["event_count"].sum()) for n in (1, 256, 257, 1000)} == {1}


def test_more_items_than_the_first_table_holds_can_be_restored():
    counted, other = counters([event(n, items=(n,)) for n in range(1, 1001)]), ItemCounters(VIDEO)
    for key in counted.keys():
        other.restore(key, counted.export(key))
    assert [other.read(n) for n in range(1, 1001)] == [counted.read(n) for n in range(1, 1001)]
