"""When a run starts by itself."""

import pytest

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_TRIGGER_DRIFT,
    TRAINING_TRIGGER_NEW_EVENTS,
    TRAINING_TRIGGER_SCHEDULE,
)
from services.trainer.policies.schedule import Policy, Situation, next_trigger

POLICY = Policy(interval_seconds=3600.0, every_events=1000, retry_seconds=600.0)
QUIET = Situation(running=False, seconds_since_run=60.0, last_failed=False, new_events=10)


def test_nothing_is_due_while_little_has_happened():
    assert next_trigger(POLICY, QUIET) is None


def test_enough_new_events_start_a_run():
    assert next_trigger(POLICY, QUIET._replace(new_events=1000)) == TRAINING_TRIGGER_NEW_EVENTS


def test_the_interval_starts_a_run():
    assert next_trigger(POLICY, QUIET._replace(seconds_since_run=3600.0)) == TRAINING_TRIGGER_SCHEDULE


def test_without_new_events_the_interval_starts_none():
    assert next_trigger(POLICY, QUIET._replace(seconds_since_run=1e9, new_events=0)) is None


def test_while_one_runs_none_is_due():
    assert next_trigger(POLICY, Situation(True, 1e9, False, 1_000_000)) is None


def test_after_a_failure_the_triggers_pause():
    situation = QUIET._replace(last_failed=True, new_events=1000)
    assert next_trigger(POLICY, situation._replace(seconds_since_run=599.0)) is None
    assert next_trigger(POLICY, situation._replace(seconds_since_run=600.0)) == TRAINING_TRIGGER_NEW_EVENTS


def test_zero_events_turns_that_trigger_off():
    assert next_trigger(POLICY._replace(every_events=0), QUIET._replace(new_events=10**9)) is None


def test_zero_seconds_turns_the_schedule_off():
    situation = QUIET._replace(seconds_since_run=1e9)
    assert next_trigger(POLICY._replace(interval_seconds=0.0), situation) is None


def test_while_events_pour_in_none_is_due():
    assert next_trigger(POLICY, QUIET._replace(new_events=1500, arriving=100)) is None


def test_a_trickle_of_events_holds_nothing_up():
    assert next_trigger(POLICY, QUIET._replace(new_events=1500, arriving=50)) == TRAINING_TRIGGER_NEW_EVENTS


def test_a_burst_without_end_is_not_waited_for():
    assert next_trigger(POLICY, QUIET._replace(new_events=4000, arriving=900)) == TRAINING_TRIGGER_NEW_EVENTS


WATCHFUL = POLICY._replace(drift_psi=0.25, drift_events=200)
DRIFTED = QUIET._replace(new_events=200, drift_psi=0.3, seconds_since_run=600.0)


def test_drift_starts_a_run():
    assert next_trigger(WATCHFUL, DRIFTED) == TRAINING_TRIGGER_DRIFT


@pytest.mark.parametrize("less", [{"drift_psi": 0.24}, {"new_events": 199}, {"seconds_since_run": 599.0}])
def test_little_drift_few_new_events_or_a_run_just_before_start_none(less):
    assert next_trigger(WATCHFUL, DRIFTED._replace(**less)) is None


def test_zero_turns_the_trigger_by_drift_off():
    assert next_trigger(WATCHFUL._replace(drift_psi=0.0), DRIFTED._replace(drift_psi=9.0)) is None


def test_while_events_pour_in_drift_waits_too():
    assert next_trigger(WATCHFUL, DRIFTED._replace(arriving=100)) is None
