"""Metrics against values computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.metrics.ranking_metrics import (
    coverage,
    hit_gains,
    hit_rate,
    mrr,
    mrr_gains,
    ndcg,
    ndcg_gains,
    paired_bootstrap,
    untied,
)

RANKS = untied(np.array([1, 3, 11]))
ties = st.tuples(st.integers(1, 1000), st.integers(0, 100)).map(lambda tie: (tie[0], sum(tie)))
rank_lists = st.lists(ties, min_size=1, max_size=30).map(np.array)


def test_hit_rate_counts_ranks_within_k():
    assert hit_rate(RANKS, 10) == pytest.approx(2 / 3)


def test_ndcg_discounts_by_the_log_of_the_rank():
    assert ndcg(RANKS, 10) == pytest.approx((1 + 1 / math.log2(4) + 0) / 3)


def test_mrr_is_the_mean_inverse_rank_within_k():
    assert mrr(RANKS, 10) == pytest.approx((1 + 1 / 3 + 0) / 3)


def test_coverage_counts_distinct_items_and_ignores_empty_places():
    assert coverage(np.array([[0, 1], [1, -1]]), 4) == 0.5


def test_coverage_of_no_catalogue_is_zero():
    assert coverage(np.empty((0, 10), int), 0) == 0.0


@pytest.mark.parametrize("metric", [hit_rate, ndcg, mrr])
def test_no_users_give_zero(metric):
    assert metric(np.empty((0, 2), int), 10) == 0.0


@pytest.mark.parametrize("metric", [hit_rate, ndcg, mrr])
def test_k_starts_at_one_and_so_do_ranks(metric):
    with pytest.raises(ValueError, match="k must be"):
        metric(RANKS, 0)
    with pytest.raises(ValueError, match="ranks start"):
        metric(untied(np.array([0])), 10)


@pytest.mark.parametrize(("ranks", "fault"), [([[3, 2]], "before its first"), ([1, 2, 3], "pairs")])
def test_a_rank_is_a_pair_in_order(ranks, fault):
    with pytest.raises(ValueError, match=fault):
        ndcg(np.array(ranks), 10)


@given(rank_lists, st.integers(1, 50))
def test_metrics_are_ordered_and_bounded(ranks, k):
    slack = 1e-9
    found = [mrr(ranks, k), ndcg(ranks, k), hit_rate(ranks, k)]
    assert -slack <= found[0] <= found[1] + slack <= found[2] + 2 * slack <= 1.0 + 3 * slack


@pytest.mark.parametrize("gains", [hit_gains, ndcg_gains, mrr_gains])
@given(ties.filter(lambda tie: tie[0] < 30), st.integers(1, 50))
def test_what_ties_gains_the_mean_over_all_orders(gains, tie, k):
    each = gains(untied(np.arange(tie[0], tie[1] + 1)), k)
    assert gains(np.array(tie), k) == pytest.approx(each.mean(), abs=1e-12)


@given(st.integers(1, 40), st.integers(1, 50))
def test_a_scorer_that_tells_nothing_apart_gains_as_much_as_chance(items, k):
    assert hit_rate(np.array([[1, items]]), k) == pytest.approx(min(k, items) / items)


def test_a_constant_gain_is_certain():
    champion = np.random.default_rng(0).random(100)
    found = paired_bootstrap(champion + 0.25, champion)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.is_better


def test_the_interval_is_about_two_standard_errors_wide():
    difference = np.random.default_rng(0).standard_normal(2_000)
    found = paired_bootstrap(difference, np.zeros(2_000))
    assert found.high - found.low == pytest.approx(2 * 1.96 / math.sqrt(2_000), rel=0.1)


def test_equal_rankers_are_not_better():
    assert not paired_bootstrap(np.ones(10), np.ones(10)).is_better


def test_equal_seeds_give_equal_intervals():
    gains = np.random.default_rng(0).random((2, 50))
    assert paired_bootstrap(*gains) == paired_bootstrap(*gains)


def test_no_users_give_an_interval_of_nothing():
    found = paired_bootstrap(np.array([]), np.array([]))
    assert (found.mean, found.low, found.high, found.n_users) == (0.0, 0.0, 0.0, 0)


def test_other_users_are_refused():
    with pytest.raises(ValueError, match="same users"):
        paired_bootstrap(np.ones(3), np.ones(2))


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_confidence_lies_between_zero_and_one(confidence):
    with pytest.raises(ValueError, match="confidence"):
        paired_bootstrap(np.ones(3), np.ones(3), confidence)
