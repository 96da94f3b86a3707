"""Metrics of lists, computed by hand."""

import math

import pytest

from services.console.datasets.dataset import Interaction
from services.console.judging.evaluation import Evaluation
from services.console.judging.judged_lists import (
    Metrics,
    judge,
    lead,
    popular_lists,
    rank,
    verdict,
    worth_asking,
)
from services.console.judging.live import as_lines


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
    lists = popular_lists(kept, ["u", "new"], {"rate"}, {"rate"})
    assert lists == {"u": ["a", "c"], "new": ["b", "a", "c"]}


def test_popular_items_keep_what_a_user_has_seen_without_consuming_it():
    kept = [took("u", "a"), Interaction("u", "b", 0.0, math.nan, "view-item")]
    assert popular_lists(kept, ["u"], {"rate"}, {"rate"}) == {"u": ["b"]}


def test_popular_is_what_is_worth_recommending_not_what_is_shown_or_disliked():
    shown = [Interaction(f"v{number}", "shown", 0.0, math.nan, "view-item-list") for number in range(3)]
    disliked = [Interaction(f"v{number}", "disliked", 0.0, math.nan, "dislike") for number in range(2)]
    lists = popular_lists([*shown, *disliked, took("w", "good")], ["u"], {"rate"}, {"rate", "dislike"})
    assert lists["u"][0] == "good"


@pytest.mark.parametrize(
    "last, is_asked",
    [
        (Interaction("u", "b", 1.0, math.nan, "purchase"), True),
        (Interaction("u", "b", 1.0, math.nan, "dislike"), False),
        (Interaction("u", "a", 1.0, math.nan, "purchase"), False),
        (Interaction("v", "a", 1.0, math.nan, "purchase"), True),
    ],
)
def test_only_what_a_good_answer_holds_is_asked_for(last, is_asked):
    kept = [Interaction("u", "a", 0.0, math.nan, "purchase"), Interaction("v", "a", 0.0, math.nan, "click")]
    asked = worth_asking({last.user: last}, kept, {"click", "purchase"}, {"purchase"})
    assert asked == ({last.user: last} if is_asked else {})


def test_what_answers_of_a_suite_lacked_is_told_in_words():
    none = Metrics(0, 0, 0, 0)
    counts = {"DEGRADED_REASON_NO_HISTORY": 1, "DEGRADED_REASON_NO_MODEL": 2}
    lines = as_lines(Evaluation("d", 0, 0, 0, none, none, "", 0, 0, 0, 0, counts, {}, ""))
    assert "degraded answers: 1 no history, 2 no model" in lines


HELD_OUT = {f"u{number}": took(f"u{number}", "a") for number in range(40)}
HITS, MISSES = dict.fromkeys(HELD_OUT, ("a",)), dict.fromkeys(HELD_OUT, ("b",))


def test_a_figure_lies_within_its_interval():
    every_other = {user: ["a"] if number % 2 else ["b"] for number, user in enumerate(HELD_OUT)}
    metrics = judge(every_other, HELD_OUT, "ab")
    low, high = metrics.hit_rate_at_10_interval
    assert 0.3 < low < metrics.hit_rate_at_10 < high < 0.7


@pytest.mark.parametrize(
    "model, popular, words",
    [(HITS, MISSES, "beats"), (MISSES, HITS, "does worse than"), (HITS, HITS, "does not clearly beat")],
)
def test_a_sentence_says_whether_a_model_beats_the_most_popular_items(model, popular, words):
    assert f"the model {words} the most popular items" in verdict(lead(model, popular, HELD_OUT))


def test_one_user_alone_says_nothing_of_a_model():
    one = dict(list(HELD_OUT.items())[:1])
    assert "the model does not clearly beat, by 1 of the 6 users" in verdict(lead(HITS, MISSES, one))
