"""What became of a run, in a line and as JSON."""

import pytest

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_SUCCEEDED,
    TRAINING_TRIGGER_NEW_EVENTS,
    GateDecision,
    TrainingRun,
)
from services.console.models.training import document, summary


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "failed after 0.0 s on 7 events"),
        (1, "failed after 0.0 s, resumed once, on 7 events"),
        (3, "failed after 0.0 s, resumed 3 times, on 7 events"),
    ],
)
def test_it_says_how_often_the_run_was_resumed(count, told):
    run = TrainingRun(state=TRAINING_STATE_FAILED, event_count=7, resumed_count=count)
    assert summary(run).startswith(told)


def test_json_says_that_a_model_was_not_promoted():
    run = TrainingRun(decision=GateDecision(promoted=False, reason="too late"))
    assert document(run)["decision"]["promoted"] is False


def test_json_tells_the_state_and_what_made_the_run_start_in_words():
    told = document(TrainingRun(state=TRAINING_STATE_SUCCEEDED, trigger=TRAINING_TRIGGER_NEW_EVENTS))
    assert (told["state"], told["trigger"]) == ("succeeded", "new events")
