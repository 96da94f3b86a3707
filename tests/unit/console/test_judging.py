"""Metrics of lists, computed by hand."""

import math

import pytest

from services.console.dataset import Interaction
from services.console.judging import judge, popular_lists, rank


def took(user: str, item: str) -> Interaction:
    """An interaction whose time and rating do not matter."""
    return Interaction(user, item, 0.0, 1.0)


def test_a_rank_counts_from_one_and_is_beyond_the_list_for_a_miss():
    assert [rank(["a", "b"], wanted) for wanted in "abc"] == [1, 2, 11]


def test_metrics_of_a_hit_at_the_second_place_and_a_miss():
    held_out = {"u": took("u", "b"), "v": took("v", "z")}
    metrics = judge({"u": ["a", "b"], "v": ["a"]}, held_out, ["a", "b", "y", "z"])
    assert metrics.ndcg_at_10 == pytest.approx(0.5 / math.log2(3))
    assert metrics.hit_rate_at_10 == pytest.approx(0.5)
    assert metrics.mrr_at_10 == pytest.approx(0.25)
    assert metrics.coverage_at_10 == pytest.approx(0.5)


def test_what_stands_below_the_tenth_place_is_a_miss():
    metrics = judge({"u": [*"abcdefghij", "k"]}, {"u": took("u", "k")}, "abcdefghijk")
    assert (metrics.hit_rate_at_10, metrics.coverage_at_10) == (0.0, pytest.approx(10 / 11))


def test_popular_items_leave_out_what_a_user_had_and_ties_go_by_id():
    kept = [took("u", "b"), took("v", "b"), took("v", "a"), took("w", "c"), took("w", "b")]
    lists = popular_lists(kept, ["u", "new"])
    assert lists == {"u": ["a", "c"], "new": ["b", "a", "c"]}
