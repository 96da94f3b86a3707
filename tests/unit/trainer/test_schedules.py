"""Learning rates rise, hold and fall as they should, whatever the speed."""

import math

import pytest

from services.trainer.model.fitting.schedules import CosineSchedule, SteadySchedule


def test_a_slow_run_gets_a_shorter_cosine_that_ends_at_zero():
    schedule = CosineSchedule(planned=1000, max_seconds=10.0)
    schedule.observe(step=100, elapsed=2.0)
    assert schedule.total == 500
    assert schedule.rate(500) == pytest.approx(0.0)


@pytest.mark.parametrize("kind", [CosineSchedule, SteadySchedule])
def test_a_fast_run_keeps_its_schedule(kind):
    schedule = kind(planned=1000, max_seconds=10.0)
    schedule.observe(step=100, elapsed=0.5)
    assert (schedule.total, schedule.capped) == (1000, False)


def test_a_steady_rate_stays_at_its_peak_until_the_last_fifth_of_the_time():
    schedule = SteadySchedule(planned=100_000, max_seconds=10.0)
    schedule.observe(step=1_000, elapsed=7.9)
    assert (schedule.rate(1_000), schedule.capped) == (1.0, False)
    schedule.observe(step=1_100, elapsed=9.0)
    assert (schedule.rate(1_100), schedule.capped) == (pytest.approx(0.5), True)


def test_a_steady_run_ends_with_its_time():
    schedule = SteadySchedule(planned=100_000, max_seconds=10.0)
    schedule.observe(step=1_200, elapsed=10.0)
    assert (schedule.total, schedule.rate(1_200)) == (1_200, 0.0)


@pytest.mark.parametrize("kind", [CosineSchedule, SteadySchedule])
@pytest.mark.parametrize("elapsed", [0.0, 2.0, 1e9], ids=["at once", "slow", "for ever"])
def test_without_a_cap_a_run_has_its_planned_length_whatever_its_speed(kind, elapsed):
    schedule = kind(planned=1000, max_seconds=math.inf)
    for step in (0, 1, 100, 1000):
        schedule.observe(step, elapsed)
        assert (schedule.total, schedule.capped) == (1000, False)
    assert 0.0 < schedule.rate(100) <= 1.0
