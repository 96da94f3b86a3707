"""How far traffic has moved away from what was learned."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.shop.simulation import Simulation, simulate
from shared.domain.metrics.drift import (
    POPULARITY_CLASSES,
    Drift,
    Traffic,
    drift_of,
    lengths_before,
    popularity_classes,
    stability_index,
)

COUNTS = st.lists(st.integers(0, 1_000), min_size=6, max_size=6).filter(any).map(np.array)
TABLE = np.arange(1, 41, dtype=np.uint64)
CLICK, PURCHASE = 3, 11


def traffic(items, event_type: int = CLICK, length: int = 7) -> Traffic:
    """Events about these items."""
    items = np.asarray(items, np.uint64)
    return Traffic(items, np.full(len(items), event_type), np.full(len(items), length))


def drawn(seed: int, weights: np.ndarray, count: int = 5_000) -> np.ndarray:
    """Items of the table by weight."""
    return np.random.default_rng(seed).choice(TABLE, count, p=weights / weights.sum())


ZIPF = 1.0 / np.arange(1, 41)


def test_the_index_is_the_formula():
    # (0.75 - 0.5) ln(0.75 / 0.5) + (0.25 - 0.5) ln(0.25 / 0.5)
    expected = 0.25 * math.log(1.5) - 0.25 * math.log(0.5)
    assert stability_index(np.array([5, 5]), np.array([30, 10])) == pytest.approx(expected)


@given(COUNTS, COUNTS)
def test_the_index_is_the_same_both_ways_and_never_below_0(one, other):
    found = stability_index(one, other)
    assert found == pytest.approx(stability_index(other, one))
    assert found >= 0


@given(COUNTS, st.integers(1, 50))
def test_equal_shares_are_no_drift_however_many_events_there_are(counts, times):
    assert stability_index(counts, times * counts) == pytest.approx(0.0)


def test_a_class_that_was_empty_makes_no_infinite_index():
    assert 0.2 < stability_index(np.array([100, 0]), np.array([90, 10])) < 1.0


def test_there_is_no_index_of_nothing():
    with pytest.raises(ValueError, match="above 0"):
        stability_index(np.zeros(3), np.ones(3))


def test_popularity_classes_hold_about_equal_shares_of_the_events_the_most_popular_first():
    classes = popularity_classes(np.repeat(TABLE[::-1], 10), TABLE)
    assert np.bincount(classes).tolist() == [4] * POPULARITY_CLASSES
    few = popularity_classes(np.array([9, 9, 9, 4], np.uint64), TABLE)
    assert (few[8], few[3], few[0]) == (0, 7, POPULARITY_CLASSES - 1)


def test_two_samples_of_the_same_traffic_do_not_drift():
    found = drift_of(traffic(drawn(1, ZIPF)), traffic(drawn(2, ZIPF)), TABLE)
    assert found.psi < 0.02 and found.new_share == 0.0


def test_another_fashion_is_seen_in_the_items_alone():
    found = drift_of(traffic(drawn(1, ZIPF)), traffic(drawn(2, ZIPF[::-1])), TABLE)
    assert found.items > 0.5
    assert (found.event_types, found.history_lengths) == (0.0, 0.0)


def test_items_without_a_row_are_a_class_and_a_share():
    newer = np.append(drawn(2, ZIPF, 900), np.full(100, 99, np.uint64))
    found = drift_of(traffic(drawn(1, ZIPF)), traffic(newer), TABLE)
    assert found.new_share == pytest.approx(0.1)
    assert found.items > 0.25


def test_other_event_types_and_longer_histories_are_each_seen():
    items = drawn(1, ZIPF)
    found = drift_of(traffic(items), traffic(items, PURCHASE, 30), TABLE)
    assert found.items == 0.0
    assert found.event_types > 1 and found.history_lengths > 1
    assert found.psi == found.event_types


def test_longer_histories_alone_do_not_make_a_model_out_of_date():
    items = drawn(1, ZIPF)
    assert drift_of(traffic(items), traffic(items, length=30), TABLE).psi == 0.0


def of_shop(shift: float | None, new_share: float) -> Drift:
    """The second half of a shop's log against the first."""
    shop = Simulation(events=10_000, shoppers=300, items=150, shift=shift, new_share=new_share)
    items = [past.behaviour.items[0] for past in simulate(shop)[1]]
    return drift_of(
        traffic(items[:5_000]), traffic(items[5_000:]), np.unique(np.array(items[:5_000], np.uint64))
    )


def test_a_shop_that_goes_on_as_before_does_not_drift_and_another_fashion_and_new_goods_are_seen():
    before, fashion, goods = of_shop(None, 0.0), of_shop(0.5, 0.0), of_shop(0.5, 0.2)
    assert before.psi < 0.1 < fashion.psi
    assert goods.psi > 0.25 and goods.new_share > 0.1 > before.new_share


@given(st.lists(st.integers(1, 4), max_size=30), st.lists(st.integers(1, 4), max_size=30))
def test_history_lengths_are_those_of_counting_one_by_one(before, stretch):
    held = {user: before.count(user) for user in range(1, 5)}
    earlier = dict(held)
    expected = []
    for user in stretch:
        expected.append(held[user])
        held[user] += 1
    assert lengths_before(np.array(stretch, np.uint64), earlier).tolist() == expected
