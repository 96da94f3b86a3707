"""Rules learn where they stand: what is strong keeps its place, and views do not change their size."""

from __future__ import annotations

import numpy as np
import pytest

from shared.domain.models.item_rules import ItemRules, RulePlan
from shared.domain.models.live_rules import SPARE_PLACES, LiveRules

ONE = np.array([0])


def live(items: int = 3) -> LiveRules:
    """Behind item 0 came item 1, three times; every total begins at 5."""
    start = np.append(0, np.ones(items, np.int64))
    total = np.full(items, 5, np.float32)
    total[0] += 3
    rules = ItemRules.of_rows(start, np.array([1]), np.array([3.0]), total)
    return LiveRules(rules, RulePlan(shrinkage=5.0))


def add(rules: LiveRules, *pairs: tuple[int, int, float]) -> None:
    row, follower, count = map(np.array, zip(*pairs, strict=True))
    rules.add(row, follower, count.astype(np.float32))


def shares(rules: LiveRules, item: int) -> dict[int, float]:
    followers, counts = rules.view.followers_of(item)
    return dict(zip(followers.tolist(), (counts / rules.view.total[item]).tolist(), strict=True))


def test_what_followed_more_often_has_a_larger_share():
    rules = live()
    add(rules, (0, 1, 1.0), (0, 2, 1.0), (2, 0, 5.0))
    assert shares(rules, 0) == pytest.approx({1: 0.4, 2: 0.1})
    assert shares(rules, 2) == pytest.approx({0: 0.5})


def test_what_is_added_shows_in_the_view_that_is_held():
    rules = live()
    held = rules.view
    add(rules, (0, 2, 8.0))
    assert held.scores(np.array([[0]])).tolist() == [[0, 3 / 16, 0.5]]


def test_the_rules_that_it_was_made_of_stay_as_they_were():
    made = ItemRules.of_rows(np.array([0, 1, 1]), np.array([1]), np.array([1.0]), np.ones(2, np.float32))
    add(LiveRules(made), (0, 1, 7.0), (1, 0, 7.0))
    assert made.scores(np.array([[0], [1]])).tolist() == [[0, 1], [0, 0]]


def test_a_full_row_gives_the_place_of_its_weakest_to_the_strongest_newcomer():
    rules = live(items=SPARE_PLACES + 4)
    add(rules, *((0, item, 2.0) for item in range(2, SPARE_PLACES + 1)))
    add(rules, (0, SPARE_PLACES + 1, 1.0))
    add(rules, (0, SPARE_PLACES + 2, 0.5), (0, SPARE_PLACES + 3, 0.75))
    kept = set(shares(rules, 0))
    assert len(kept) == SPARE_PLACES + 1
    assert SPARE_PLACES + 3 in kept and {1, 2} <= kept
    assert not kept & {SPARE_PLACES + 1, SPARE_PLACES + 2}


def test_a_new_item_begins_with_no_followers_and_learns_like_the_others():
    rules = live()
    held = rules.view
    for items in range(4, 30):
        rules.grow(items)
    add(rules, (29 - 1, 0, 5.0), (0, 28, 8.0))
    assert (len(held), len(rules)) == (3, 29)
    assert shares(rules, 28) == {0: 0.5} and shares(rules, 0)[28] == 0.5
