"""Counters of items: exact in every window, whatever the order, and mergeable."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.event import EventType
from shared.domain.fold.state import State, fold_events
from shared.domain.items.co_visits import PLACES, count_neighbours
from shared.domain.items.item_behaviours import BEHAVIOURS, KINDS, SIGNAL_UNITS
from shared.domain.items.item_counters import ITEM_RECORD, ItemCounters, empty_rows, merge_rows, trending
from shared.domain.windows import WINDOWS, merged, sliding
from tests.builders import DAY_MS, START_MS, VIDEO, event, state
from tests.unit.domain.strategies import logs

HOUR_MS = 3_600_000


def merged_item(folded: State, key: int) -> np.ndarray:
    return folded.items.of_items([key])[0]


@given(logs())
def test_windows_count_the_newest_bucket_and_the_one_before(log):
    log = [each for each in log if not each.corrected_type and each.event_type not in _correcting()]
    for row in fold_events(state(), log).items.records:
        mine = [each for each in log if each.user_key % 4 == row["partition"]]
        times = [
            (each.time_ms, kind)
            for each in mine
            for item in each.items
            if item.item_key == row["item_key"]
            for kind in _kinds(each.event_type)
        ]
        for place, seconds in enumerate(WINDOWS.values()):
            newest = int(row["windows"]["bucket"][place])
            for age in (0, 1):
                counts = Counter(
                    kind for time_ms, kind in times if time_ms // (seconds * 1000) == newest - age
                )
                held = row["windows"]["count"][place, :, age]
                assert [held[KINDS.index(kind)] for kind in BEHAVIOURS] == [
                    counts[kind] for kind in BEHAVIOURS
                ]


def _correcting() -> set[EventType]:
    return {EventType.REFUND, EventType.UNLIKE, EventType.REMOVE_FROM_CART, EventType.REVERSAL}


def _kinds(event_type: EventType) -> list[str]:
    return [kind for kind, types in BEHAVIOURS.items() if event_type in types]


@given(logs())
def test_partial_sums_of_partitions_merge_to_what_one_partition_holds(log):
    parted, whole = fold_events(state(partitions=4), log), fold_events(state(partitions=1), log)
    for key in {int(each) for each in whole.items.records["item_key"]}:
        one, other = merged_item(parted, key), merged_item(whole, key)
        assert one["event_count"].tolist() == other["event_count"].tolist()
        assert one["windows"].tobytes() == other["windows"].tobytes()
        assert (one["first_time_ms"], one["time_ms"]) == (other["first_time_ms"], other["time_ms"])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=40), st.randoms())
def test_the_order_of_events_changes_no_count(events, random):
    log = [
        event(n, user_key=user, items=(1,), time_ms=START_MS + hours * HOUR_MS)
        for n, (user, hours) in enumerate(events, 1)
    ]
    shuffled = [event(n, user_key=e.user_key, items=(1,), time_ms=e.time_ms, event_key=e.event_key)
                for n, e in enumerate(random.sample(log, len(log)), 1)]  # fmt: skip
    one, other = (merged_item(fold_events(state(), each), 1) for each in (log, shuffled))
    assert one["windows"].tobytes() == other["windows"].tobytes()


def test_a_sliding_window_takes_its_share_of_the_bucket_before():
    log = [event(n, items=(1,), time_ms=START_MS // HOUR_MS * HOUR_MS + n) for n in range(1, 5)]
    records = fold_events(state(), log).items.of_items([1])
    hour, click = list(WINDOWS).index("1h"), KINDS.index("click")
    later = START_MS // HOUR_MS * HOUR_MS + HOUR_MS * 5 // 4
    assert sliding(records["windows"], later)[0, hour, click] == 3.0
    assert sliding(records["windows"], later + HOUR_MS)[0, hour, click] == 0.0


def test_what_is_taken_back_leaves_count_and_windows():
    bought = event(1, event_type=EventType.PURCHASE, items=(5,))
    refunded = event(2, event_type=EventType.REFUND, items=(5,), time_ms=START_MS + 1)
    item = merged_item(fold_events(state(), [bought, refunded]), 5)
    assert item["event_count"][EventType.PURCHASE] == 0
    assert item["windows"]["count"][:, KINDS.index("purchase"), 0].tolist() == [0] * len(WINDOWS)


def test_signal_sums_the_weights_of_the_preset():
    item = merged_item(fold_events(state(), [event(1, event_type=EventType.RATE, items=(5,))]), 5)
    expected = round(VIDEO.weight[EventType.RATE] * SIGNAL_UNITS)
    assert item["windows"]["count"][0, KINDS.index("signal"), 0] == expected


def test_what_happened_as_time_began_counts():
    item = merged_item(fold_events(state(), [event(1, items=(5,), time_ms=0)]), 5)
    assert (item["item_key"], item["event_count"][EventType.CLICK]) == (5, 1)


def test_an_item_never_seen_has_zeros():
    assert fold_events(state(), [event(1)]).items.of_items([99]).tobytes() == empty_rows(1).tobytes()
    assert merge_rows(empty_rows(0), 99).tobytes() == empty_rows(1).tobytes()


def test_what_partitions_hold_of_a_popular_item_sums_up_beyond_32_bits():
    rows = fold_events(state(), [event(each, user_key=each) for each in (1, 2)]).items.rows_of([1])
    rows["windows"]["count"][..., 0] = rows["event_count"] = 2**31 - 1
    item = merge_rows(rows, 1)
    assert (item["windows"]["count"][..., 0] == 2**32 - 2).all()
    assert (item["event_count"] == 2**32 - 2).all()


def by_key(records: np.ndarray) -> bytes:
    return np.sort(records, order="item_key").tobytes()


def test_rows_that_are_put_back_keep_their_place_and_their_mark_however_many_there_are():
    records = np.zeros(2000, ITEM_RECORD)
    records["item_key"], records["partition"] = np.arange(2000, 0, -1), np.arange(2000) % 4
    counters = ItemCounters(VIDEO, partitions=4)
    counters.restore(records)
    assert len(counters.changed_rows()) == 0
    counters.put(records[:900])
    counters.drop(lambda partition: partition == 3)
    left = records[records["partition"] != 3]
    assert by_key(counters.records) == by_key(left)
    assert by_key(counters.changed_rows()) == by_key(left[left["item_key"] > 1100])


def test_items_right_behind_each_other_in_a_visit_are_neighbours():
    log = [event(n, items=(key,)) for n, key in enumerate((1, 2, 1, 3), 1)]
    item = merged_item(fold_events(state(), log), 1)
    held = dict(zip(item["neighbour_key"].tolist(), item["neighbour_count"].tolist(), strict=True))
    assert (held[2], held[3]) == (2, 1)


def test_items_of_different_visits_are_no_neighbours():
    log = [event(1, items=(1,)), event(2, items=(2,), time_ms=START_MS + DAY_MS)]
    assert merged_item(fold_events(state(), log), 1)["neighbour_count"].sum() == 0


@given(st.lists(st.integers(1, 12), max_size=200))
def test_neighbour_counts_are_at_most_as_much_too_high_as_the_lowest(keys):
    records = np.zeros(1, ITEM_RECORD)
    count_neighbours(records, np.zeros(len(keys), np.int64), np.array(keys, np.uint64))
    counts, true = records["neighbour_count"][0].tolist(), Counter(keys)
    assert sum(counts) == len(keys)
    for key, count in zip(records["neighbour_key"][0].tolist(), counts, strict=True):
        if count:
            assert true[key] <= count <= true[key] + min(counts)
    assert all(key in records["neighbour_key"][0] for key, n in true.items() if n > len(keys) / PLACES)


def trend(log, **how) -> list[int]:
    return trending(fold_events(state(), log).items, VIDEO, 10, **how).item_keys.tolist()


def test_what_happened_of_late_trends_above_what_happened_long_ago():
    old = [event(n, user_key=n, items=(1,), time_ms=START_MS - 20 * DAY_MS) for n in range(1, 5)]
    new = [event(n, user_key=n, items=(2,)) for n in range(5, 8)]
    assert trend(old + new) == [2, 1]


def test_ties_go_to_the_smaller_key_and_dislikes_do_not_trend():
    log = [event(1, items=(9,)), event(2, items=(4,)), event(3, event_type=EventType.DISLIKE, items=(5,))]
    assert trend(log) == [4, 9]


@given(logs())
def test_merging_window_records_is_the_same_in_any_grouping(log):
    records = fold_events(state(), log).items.records["windows"]
    if len(records) > 2:
        half = len(records) // 2
        parts = np.array([merged(records[:half]), merged(records[half:])])
        assert merged(parts).tobytes() == merged(records).tobytes()
