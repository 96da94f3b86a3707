"""How a run's record changes."""

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_READING,
    TRAINING_STATE_SUCCEEDED,
    TRAINING_TRIGGER_REQUEST,
)
from services.trainer.policies.gate import Decision
from services.trainer.processes.reports import Learned
from services.trainer.runs.progress import failed, new_run, note_learning, succeeded


def test_a_new_run_reads():
    run = new_run(TRAINING_TRIGGER_REQUEST)
    assert run.state == TRAINING_STATE_READING
    assert run.HasField("start_time")
    assert not run.HasField("end_time")


def test_runs_have_ids_of_their_own():
    assert new_run(TRAINING_TRIGGER_REQUEST).run_id != new_run(TRAINING_TRIGGER_REQUEST).run_id


def test_learning_is_noted():
    run = new_run(TRAINING_TRIGGER_REQUEST)
    note_learning(run, Learned(20, 100, 6.5, 2000.0, 4.25))
    assert (run.step, run.total_steps, run.loss) == (20, 100, 6.5)
    assert (run.examples_per_second, run.eta_seconds) == (2000.0, 4.25)


def test_a_run_that_succeeded_has_model_and_decision():
    run = new_run(TRAINING_TRIGGER_REQUEST)
    ended = succeeded(run, "c0ffee", Decision(True, "better"))
    assert (ended.state, ended.model_version) == (TRAINING_STATE_SUCCEEDED, "c0ffee")
    assert (ended.decision.promoted, ended.decision.reason) == (True, "better")
    assert ended.HasField("end_time")


def test_a_run_that_failed_says_why_and_the_record_before_stays():
    run = new_run(TRAINING_TRIGGER_REQUEST)
    ended = failed(run, "no events")
    assert (ended.state, ended.error) == (TRAINING_STATE_FAILED, "no events")
    assert run.state == TRAINING_STATE_READING
