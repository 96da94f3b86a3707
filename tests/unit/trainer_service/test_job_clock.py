"""The second lesson gets what a job's time has left, but for what comes behind it."""

from __future__ import annotations

import numpy as np
import pytest

from services.trainer.learning.job_clock import AFTERWARDS, LEAST_SHARE, JobClock
from services.trainer.learning.learning import second_plan
from services.trainer.learning.warm_start import Start
from services.trainer.model.encoders.registry import encoder_of
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel
from shared.domain.models.mixture import Mixture

PLAN = TrainingPlan(max_minutes=10.0, continuation=0.2)
KEPT = 10.0 * AFTERWARDS
"""Minutes of ten that no lesson gets."""


def lesson_of(seconds: float) -> TrainedModel:
    nothing = np.empty(0, np.float32)
    return TrainedModel(nothing, nothing, nothing, encoder_of(d_model=8), (), False, seconds=seconds)


def left_after(seconds: float, minutes: float = 10.0) -> TrainingPlan:
    return JobClock(minutes).second_lesson(PLAN, lesson_of(seconds))


def test_what_the_first_lesson_took_is_gone_although_another_process_has_made_it():
    assert left_after(360.0).second_minutes == pytest.approx(4.0 - KEPT, abs=0.01)


def test_a_second_lesson_has_a_little_time_however_late_it_is():
    assert left_after(3_600.0).second_minutes == pytest.approx(LEAST_SHARE * 10.0)


def test_a_continuation_takes_what_is_left():
    assert left_after(360.0).continued().max_minutes == pytest.approx(4.0 - KEPT, abs=0.01)


def test_as_many_passes_are_repeated_as_what_is_left_reaches_for():
    repeated = [left_after(seconds).refitted(20, 10.0, seconds) for seconds in (300.0, 370.0, 500.0)]
    assert [each and each.epochs for each in repeated] == [25, 21, None]


def test_the_time_that_is_left_does_not_decide_what_an_unfinished_lesson_is():
    assert left_after(360.0).untimed == left_after(100.0).untimed == PLAN.untimed


def test_gone_on_from_a_champion_a_second_lesson_learns_all_that_came_since_in_the_time_that_is_left():
    start = Start(lesson_of(0.0), Mixture(), learned_to=70, version="abc")
    plan = second_plan(PLAN, JobClock(10.0), start, lesson_of(540.0))
    assert plan.learned_to == 70
    assert plan.max_minutes == pytest.approx(1.0 - KEPT, abs=0.01)
