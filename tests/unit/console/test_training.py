"""Following a run, and what became of it, in a line and as JSON."""

from types import SimpleNamespace

import grpc
import pytest

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_SUCCEEDED,
    TRAINING_STATE_TRAINING,
    TRAINING_TRIGGER_NEW_EVENTS,
    GateDecision,
    TrainingRun,
    WatchTrainingRunResponse,
)
from services.console import progress_lines
from services.console.models import training
from services.console.models.training import document, draw_to_end, summary
from services.console.output import Output
from shared.client import Unavailable
from shared.client.errors import Details, Origin

GOES, ENDS = (TrainingRun(state=each) for each in (TRAINING_STATE_TRAINING, TRAINING_STATE_SUCCEEDED))
AWAY = Unavailable(
    grpc.StatusCode.UNAVAILABLE,
    "nobody there",
    Details(reason="AWAY"),
    Origin("trainer", "host:1", "watch", ""),
)


def trainer(*answers: TrainingRun | Unavailable) -> SimpleNamespace:
    """A client of a trainer that answers, or does not, one stream after the other."""
    coming = iter(answers)

    async def watch(run_id: str):
        if isinstance(answer := next(coming), Unavailable):
            raise answer
        yield WatchTrainingRunResponse(run=answer)

    return SimpleNamespace(watch_training_run=watch)


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ([ENDS], 0),
        ([AWAY, AWAY, ENDS], 1),
        ([AWAY, GOES, AWAY, AWAY, ENDS], 2),
    ],
)
async def test_following_says_for_whom_it_waits_once_until_that_one_has_answered(
    answers, times, capsys, monkeypatch
):
    monkeypatch.setattr(training, "RESUME_SECONDS", 0.0)
    assert await draw_to_end(trainer(*answers), "r1", Output(True), 60) == ENDS
    said = capsys.readouterr().err.splitlines()
    waiting = [line for line in said if line.startswith("waiting: trainer cannot serve now: nobody there")]
    assert len(waiting) == times


async def test_following_says_that_it_waits_before_it_has_waited(capsys):
    with pytest.raises(Unavailable):
        await draw_to_end(trainer(AWAY, AWAY), "r1", Output(True), 1e-9)
    assert capsys.readouterr().err.count("waiting: ") == 1


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (TrainingRun(), "training: 0 steps"),
        (TrainingRun(resumed_count=1), "training: 0 steps  resumed once"),
        (
            TrainingRun(step=20, total_steps=80, loss=1.5, examples_per_second=900, eta_seconds=3),
            "training: 20 of 80 steps  loss 1.5000  900 examples/s  3 s to go",
        ),
    ],
)
async def test_following_tells_loss_speed_and_time_once_they_are_known(run, told, capsys, monkeypatch):
    monkeypatch.setattr(progress_lines, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(training, "RESUME_SECONDS", 0.0)
    run.state = TRAINING_STATE_TRAINING
    await draw_to_end(trainer(run, ENDS), "r1", Output(True), 60)
    assert told in capsys.readouterr().err.splitlines()


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
