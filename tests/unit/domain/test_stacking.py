"""Two forecasts are put together by how they come out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.content.stacking import Stack, stacked

FIRST, SECOND = np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])
FORECASTS = st.lists(st.integers(-9, 9), min_size=4, max_size=4).map(lambda each: np.array(each, float))


def missed(wanted: np.ndarray, first: np.ndarray, second: np.ndarray, stack: Stack) -> float:
    return float(((stack.first * first + stack.second * second - wanted) ** 2).sum())


def test_forecasts_that_know_different_things_add_up():
    assert stacked(2 * FIRST + 3 * SECOND, FIRST, SECOND) == pytest.approx((2, 3))


def test_a_forecast_that_the_other_makes_superfluous_does_not_count():
    assert stacked(FIRST, FIRST, FIRST) == (1, 0)
    assert stacked(FIRST, FIRST, SECOND) == pytest.approx((1, 0))


def test_a_forecast_that_misleads_does_not_count():
    assert stacked(FIRST, FIRST, -FIRST) == (1, 0)
    assert stacked(FIRST, -FIRST, FIRST) == (0, 1)


def test_forecasts_that_say_nothing_do_not_count():
    assert stacked(FIRST, 0 * FIRST, 0 * FIRST) == (0, 0)


@given(FORECASTS, FORECASTS, FORECASTS, st.floats(0, 3), st.floats(0, 3))
def test_no_other_weights_come_closer(wanted, first, second, one, two):
    stack = stacked(wanted, first, second)
    assert min(stack) >= 0
    best = missed(wanted, first, second, stack)
    assert best <= missed(wanted, first, second, Stack(one, two)) + 1e-6
