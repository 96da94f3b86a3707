"""A job is learned as it says."""

import pytest

from services.trainer.learning.learning import plan_of
from services.trainer.model.encoders.names import KINDS, PRESET_NAMES
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.fitting.plan import BESIDE_LESSONS, TrainingPlan
from tests.unit.trainer_service.builders import JOB

EVENTS = 1_000


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_is_the_one_that_was_asked_for(kind, preset):
    plan = plan_of(JOB._replace(encoder=kind, preset=preset), EVENTS)
    assert plan.encoder == config_of(kind, preset).suited(EVENTS)


def test_the_loss_is_the_one_that_was_asked_for():
    plan = plan_of(JOB._replace(loss="gbce", trim_share=0.1), EVENTS)
    assert (plan.loss, plan.trim_share) == ("gbce", 0.1)


def test_both_lessons_and_what_is_beside_them_stay_within_the_time_allowed():
    plan = plan_of(JOB, EVENTS)
    lessons = plan.max_minutes * (1 + plan.continuation)
    assert lessons == pytest.approx(JOB.max_minutes * (1 - BESIDE_LESSONS))


def test_every_lesson_stays_within_the_time_allowed():
    plan = TrainingPlan(continuation=0.2).within(6.0, continuations=5)
    first = plan.max_minutes + plan.continued().max_minutes
    later = 5 * 2 * plan.continued().max_minutes
    assert first + later == pytest.approx(6.0 * (1 - BESIDE_LESSONS))
