"""What just happened calls for what usually comes soon behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.models.item_rules import GEOMETRIC, HISTORY_EVENTS, ItemRules
from shared.domain.models.mixture import Experts, Mixture

RULES = ItemRules.of_rows(
    np.array([0, 2, 3, 3]), np.array([1, 2, 0]), np.array([2.0, 1.0, 3.0]), np.array([4, 3, 1], np.float32)
)
"""Behind item 0 comes 1 half the time and 2 a quarter of it; behind item 1 always 0; behind item 2 nothing."""


def scores(*rows: int) -> list[float]:
    return RULES.scores(np.array([rows]))[0].tolist()


def test_the_newest_event_calls_for_its_followers():
    assert scores(0) == [0, 0.5, 0.25]


def test_an_older_event_counts_by_its_place_from_the_end():
    assert scores(0, 2) == [0, 0.25, 0.125]


def test_what_several_events_call_for_adds_up():
    assert scores(1, 1) == [1.5, 0, 0]


def test_an_event_that_fires_no_rule_keeps_its_place():
    assert scores(0, -1) == scores(0, 2)


def test_only_the_newest_events_fire():
    assert scores(0, *[2] * HISTORY_EVENTS) == [0, 0, 0]


def test_no_events_call_for_nothing():
    assert RULES.scores(np.empty((2, 0), np.int64)).tolist() == [[0, 0, 0]] * 2


def test_an_item_gains_by_the_logarithm_of_what_calls_for_it():
    model = np.array([[1.0, 2.0, 3.0]], np.float32)
    Mixture(weight=2.0, floor=0.5).add(model, Experts(RULES), np.array([[0]]))
    assert model[0] == pytest.approx([1.0, 2.0 + 2 * np.log(2), 3.0 + 2 * np.log(1.5)])


def test_each_kind_of_rules_adds_its_own():
    model, mixture = np.zeros((1, 3), np.float32), Mixture(2.0, 0.5, ease_weight=1.0, ease_floor=0.25)
    mixture.add(model, Experts(RULES, RULES), np.array([[0]]))
    assert model[0] == pytest.approx([0, 2 * np.log(2) + np.log(3), 2 * np.log(1.5) + np.log(2)])


def test_an_expert_that_is_missing_or_without_weight_adds_nothing():
    model = np.zeros((1, 3), np.float32)
    Mixture(1.0, ease_weight=1.0).add(model, Experts(), np.array([[0]]))
    Mixture(0.0, ease_weight=0.0).add(model, Experts(RULES, RULES), np.array([[0]]))
    assert not model.any()


def test_rules_of_tastes_forget_more_slowly():
    slow = replace(RULES, recency=GEOMETRIC)
    assert slow.scores(np.array([[0, 2, 2]]))[0] == pytest.approx([0, 0.5 * 0.81, 0.25 * 0.81])


def test_only_events_of_some_types_fire():
    rows, types = np.array([[0, 1]]), np.array([[3, 4]])
    assert Mixture(event_types=(3,)).firing(rows, types).tolist() == [[0, -1]]


@st.composite
def some_rules(draw) -> ItemRules:
    items = draw(st.integers(1, 300))
    sizes = np.zeros(items, np.int64)
    for item in draw(st.lists(st.integers(0, items - 1), max_size=8)):
        sizes[item] = draw(st.integers(1, min(items, 4)))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    followers = [np.sort(generator.choice(items, size, replace=False)) for size in sizes]
    start, count = np.append(0, np.cumsum(sizes)), 1 - generator.random(sizes.sum())
    total = np.full(items, 5, np.float32)
    return ItemRules.of_rows(start, np.concatenate(followers), count, total)


@given(some_rules(), st.lists(st.lists(st.integers(-1, 299), min_size=3, max_size=3), min_size=1, max_size=4))
def test_scores_are_what_one_event_after_the_other_gives(rules, histories):
    rows = np.minimum(np.array(histories), len(rules) - 1)
    expected = np.zeros((len(rows), len(rules)))
    for user, place in zip(*np.nonzero(rows >= 0), strict=True):
        row = rows[user, place]
        for follower, count in zip(*rules.followers_of(row), strict=True):
            expected[user, follower] += count / rules.total[row] / (rows.shape[1] - place)
    assert rules.scores(rows) == pytest.approx(expected, abs=1e-6)


@given(some_rules())
def test_rules_are_the_same_after_they_were_compressed(rules):
    again = ItemRules.of_rows(**rules.to_rows())
    rows = np.arange(len(rules))[:, None]
    assert (again.scores(rows) == rules.scores(rows)).all()


def test_items_without_followers_have_no_places_of_their_own():
    assert len(RULES) == 3
    assert RULES.follower.shape == RULES.count.shape == (2, 2)


def test_a_follower_beyond_the_view_of_a_grown_table_is_left_out():
    view = replace(RULES, row=RULES.row[:2], total=RULES.total[:2], used=RULES.used[:2])
    assert view.scores(np.array([[0]])).tolist() == [[0, 0.5]]


def test_items_behind_those_that_rules_know_call_for_nothing_and_are_called_for_by_none():
    scores, rows = np.zeros((2, 5), np.float32), np.array([[4, 0], [0, 4]])
    Mixture(weight=1.0, floor=0.5).add(scores, Experts(RULES), rows)
    gains = RULES.scores(np.array([[-1, 0], [0, -1]]))
    assert scores[:, :3] == pytest.approx(np.log1p(gains / 0.5))
    assert not scores[:, 3:].any()


def test_rules_move_into_a_larger_table_where_new_items_call_for_nothing():
    moved = RULES.moved(np.array([1, 3, 4]), 6)
    every = np.arange(6)[:, None]
    expected = np.zeros((6, 6))
    expected[np.ix_([1, 3, 4], [1, 3, 4])] = RULES.scores(np.arange(3)[:, None])
    assert moved.scores(every).tolist() == expected.tolist()
