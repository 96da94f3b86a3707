"""Metrics of probabilities, against plain definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.metrics.probability_metrics import (
    auc,
    base_rate,
    base_rate_log_loss,
    expected_calibration_error,
    log_loss,
)

ROW = st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.integers(1, 3))
ROWS = st.lists(ROW, min_size=1, max_size=40)


def columns(rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, probabilities, weights = zip(*rows, strict=True)
    return np.array(labels), np.array(probabilities), np.array(weights, float)


@given(ROWS)
def test_a_row_of_weight_n_counts_as_n_rows(rows):
    labels, probabilities, weights = columns(rows)
    times = weights.astype(int)
    repeated = np.repeat(labels, times), np.repeat(probabilities, times)
    for metric in (log_loss, auc, expected_calibration_error):
        assert metric(labels, probabilities, weights) == pytest.approx(metric(*repeated))


@given(ROWS, st.randoms())
def test_the_order_of_rows_changes_nothing(rows, random):
    shuffled = random.sample(rows, len(rows))
    for metric in (log_loss, auc, expected_calibration_error):
        assert metric(*columns(rows)) == pytest.approx(metric(*columns(shuffled)))


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    labels, probabilities, _ = columns(rows)
    pairs = list(itertools.product(probabilities[labels], probabilities[~labels]))
    right = sum(1.0 if one > other else 0.5 * (one == other) for one, other in pairs)
    assert auc(labels, probabilities) == pytest.approx(right / len(pairs) if pairs else 0.5)


@given(ROWS)
def test_auc_turns_round_with_the_order(rows):
    labels, probabilities, weights = columns(rows)
    turned = auc(labels, 1.0 - probabilities, weights)
    assert auc(labels, probabilities, weights) + turned == pytest.approx(1.0)


@given(ROWS, st.floats(0.0, 1.0))
def test_no_constant_beats_the_base_rate(rows, constant):
    labels, _, weights = columns(rows)
    foretold = np.full(len(labels), constant)
    assert base_rate_log_loss(labels, weights) <= log_loss(labels, foretold, weights) + 1e-9


@given(ROWS)
def test_the_base_rate_is_calibrated_and_tells_nothing_apart(rows):
    labels, _, weights = columns(rows)
    foretold = np.full(len(labels), base_rate(labels, weights))
    assert expected_calibration_error(labels, foretold, weights) == pytest.approx(0.0, abs=1e-12)
    assert auc(labels, foretold, weights) == 0.5


@given(ROWS)
def test_calibration_error_lies_between_that_of_one_bin_and_that_of_rows_alone(rows):
    labels, probabilities, weights = columns(rows)
    found = expected_calibration_error(labels, probabilities, weights)
    mean_gap = abs(np.average(labels - probabilities, weights=weights))
    assert mean_gap - 1e-12 <= found <= np.average(abs(labels - probabilities), weights=weights) + 1e-12


def test_log_loss_is_the_mean_surprise():
    labels = np.array([True, False])
    assert log_loss(labels, np.array([0.25, 0.5])) == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_sure_and_wrong_costs_much_but_not_infinity():
    assert 20 < log_loss(np.array([True]), np.array([0.0])) < 30


def test_calibration_error_sees_what_equal_width_would_hide():
    labels = np.r_[np.ones(10, bool), np.zeros(90, bool)]
    foretold = np.r_[np.full(50, 0.01), np.full(50, 0.05)]  # all in the first bin of equal width
    expected = 0.5 * abs(10 / 50 - 0.01) + 0.5 * abs(0 - 0.05)
    assert expected_calibration_error(labels, foretold) == pytest.approx(expected)


def test_nothing_is_zero_and_chance():
    none = np.empty(0)
    assert log_loss(none, none) == expected_calibration_error(none, none) == base_rate(none) == 0.0
    assert auc(none, none) == 0.5


@pytest.mark.parametrize(
    "probabilities, weights, reason",
    [([0.5], None, "1 probabilities"), ([0.5, 1.5], None, "lie in"), ([0.5, math.nan], None, "lie in"),
     ([0.5, 0.5], [1.0, -1.0], "negative")],
)  # fmt: skip
def test_what_is_no_probability_is_refused(probabilities, weights, reason):
    with pytest.raises(ValueError, match=reason):
        log_loss(np.array([True, False]), np.array(probabilities), weights)
