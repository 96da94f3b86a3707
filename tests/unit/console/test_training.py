"""The line that says what became of a run."""

import pytest

from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_FAILED, TrainingRun
from services.console.training import summary


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
