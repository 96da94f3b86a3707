"""What the shop measures."""

import math

import pytest

from deploy.local.shop.statistics import ClickArm, Interval, Rate, Statistics, lift


def arm(*lists: tuple[str, int, int]) -> ClickArm:
    """An arm of lists: user, impressions, clicks."""
    made = ClickArm()
    for user, impressions, clicks in lists:
        made.add(user, impressions, clicks)
    return made


def test_the_click_rate_is_clicks_by_impressions():
    rate = arm(("a", 10, 1), ("b", 30, 3)).click_rate()
    assert rate.value == pytest.approx(0.1)


def test_shoppers_that_behave_alike_leave_no_doubt():
    rate = arm(*((user, 10, 1) for user in "abcd")).click_rate()
    assert (rate.low, rate.high) == pytest.approx((0.1, 0.1))


def test_the_interval_by_hand_for_two_shoppers():
    rate = arm(("a", 10, 2), ("b", 10, 0)).click_rate()
    # r = 0.1; residuals 1 and -1; variance = 2 / 1 x 2 / 20^2 = 0.01; margin = 1.96 x 0.1
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.1, 0.0, 0.1 + 0.1959964))


def test_nothing_shown_is_unknown_and_one_shopper_proves_nothing():
    assert math.isnan(arm().click_rate().value)
    assert arm(("a", 10, 5)).click_rate() == Interval(0.5, 0.0, 1.0)


def test_a_lift_of_known_rates():
    ratio = lift(Interval(0.2, 0.2, 0.2), Interval(0.1, 0.1, 0.1))
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_a_lift_without_clicks_is_unknown():
    assert math.isnan(lift(Interval(0.2, 0.1, 0.3), Interval(0.0, 0.0, 0.0)).value)


def test_a_doubtful_lift_has_a_wide_interval_around_it():
    ratio = lift(Interval(0.2, 0.1, 0.3), Interval(0.1, 0.05, 0.15))
    assert ratio.low < 2.0 / 1.5 < 2.0 < 3.0 < ratio.high


def test_the_rate_forgets_what_is_older_than_ten_seconds():
    rate = Rate()
    rate.add(0.0, 100)
    rate.add(5.0, 50)
    assert rate.per_second(9.0, since=-100.0) == pytest.approx(15.0)
    assert rate.per_second(12.0, since=-100.0) == pytest.approx(5.0)


def test_a_short_run_is_not_underrated():
    rate = Rate()
    rate.add(1.0, 20)
    assert rate.per_second(2.0, since=0.0) == pytest.approx(10.0)


def test_delays_and_degraded_answers_are_shares_of_answers():
    statistics = Statistics(started=0.0)
    for delay_seconds, degraded in ((0.01, False), (0.03, True), (None, True), (0.02, False)):
        statistics.answered(delay_seconds, degraded)
    assert statistics.delay_quantile(0.5) == pytest.approx(0.02)
    assert (statistics.answers, statistics.degraded_share()) == (4, 0.5)


def test_no_answers_have_no_delay():
    assert math.isnan(Statistics(started=0.0).delay_quantile(0.5))
    assert math.isnan(Statistics(started=0.0).degraded_share())
