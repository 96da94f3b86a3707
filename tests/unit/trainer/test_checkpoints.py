"""A lesson that was cut off goes on from its checkpoint as if nothing had been."""

import multiprocessing
import os
import signal
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.trainer.model.fitting import loop, training
from services.trainer.model.fitting.callbacks import NO_CALLBACKS, Callbacks
from services.trainer.model.fitting.checkpoint import Checkpoints, key_of
from services.trainer.model.fitting.course import Course
from services.trainer.model.fitting.plan import OnProgress, Progress, TrainingPlan, ignore_progress
from services.trainer.model.fitting.training import TrainedModel, continue_training, train
from services.trainer.model.sequences import training_rows
from tests.unit.trainer.builders import PLAN, walks

EVENTS = walks(n_users=60)
LONG = replace(PLAN, epochs=10)
SAMPLED = replace(LONG, exact_up_to=1, n_negatives=16)


class Killed(Exception):
    """Stands for the end of the process, in the middle of a lesson."""


def at(step: int):
    def on_progress(progress: Progress) -> None:
        if progress.step >= step:
            raise Killed

    return on_progress


def kept_in(directory: Path, on_progress: OnProgress = ignore_progress, run: str = "run") -> Callbacks:
    """Keeps checkpoints of a run after every step, and tells of progress."""
    return Callbacks(on_progress, Checkpoints(directory, 0.0, run))


def cut_off(directory: Path, plan: TrainingPlan = LONG, step: int = 40) -> None:
    with pytest.raises(Killed):
        train(EVENTS, plan, kept_in(directory, at(step)))


@cache
def whole(plan: TrainingPlan = LONG) -> TrainedModel:
    """What a lesson learns that nothing cuts off."""
    return train(EVENTS, plan)


def first_step(directory: Path, plan: TrainingPlan = LONG, run: str = "run") -> int:
    """The first step that a lesson reports which finds what is in the directory."""
    reports: list[Progress] = []
    train(EVENTS, plan, kept_in(directory, reports.append, run))
    return reports[0].step


def bits(model: TrainedModel) -> bytes:
    weights = [each.detach().numpy().tobytes() for each in model.encoder.state_dict().values()]
    return b"".join([model.item_vectors.tobytes(), model.item_biases.tobytes(), *weights])


def steps_of(model: TrainedModel) -> list[tuple[int, float]]:
    return [(report.step, report.loss) for report in model.curve]


@pytest.mark.parametrize("step", [20, 40])
@pytest.mark.parametrize("plan", [LONG, SAMPLED], ids=["exact", "sampled"])
def test_a_lesson_that_was_cut_off_ends_bit_by_bit_where_it_would_have_ended(tmp_path, plan, step):
    cut_off(tmp_path, plan, step)
    assert list(tmp_path.iterdir())
    resumed = train(EVENTS, plan, kept_in(tmp_path))
    assert bits(resumed) == bits(whole(plan))
    assert steps_of(resumed) == steps_of(whole(plan))


def test_a_lesson_with_a_large_catalogue_goes_on_bit_by_bit_whenever_it_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SPARSE_FROM", 0)
    judge = towards_twelve
    with pytest.raises(Killed):
        train(EVENTS, SAMPLED, kept_in(tmp_path, at(40)), judge)
    resumed = train(EVENTS, SAMPLED, kept_in(tmp_path), judge)
    assert bits(resumed) == bits(train(EVENTS, SAMPLED, judge=judge))


def test_a_lesson_that_is_cut_off_again_and_again_ends_the_same(tmp_path):
    for step in (20, 30, 60):
        cut_off(tmp_path, step=step)
    assert bits(train(EVENTS, LONG, kept_in(tmp_path))) == bits(whole())


def test_a_lesson_that_had_ended_is_not_learned_again(tmp_path):
    first = train(EVENTS, LONG, kept_in(tmp_path))
    reports: list[Progress] = []
    again = train(EVENTS, LONG, kept_in(tmp_path, reports.append))
    assert (bits(again), reports) == (bits(first), [])
    assert again.curve == first.curve


def test_each_lesson_of_a_run_goes_on_from_its_own(tmp_path):
    def run(first: Callbacks = NO_CALLBACKS, second: Callbacks = NO_CALLBACKS) -> TrainedModel:
        return continue_training(train(EVENTS, LONG, first), walks(n_users=100), LONG, second)

    kept = Checkpoints(tmp_path, 0.0, "run")
    with pytest.raises(Killed):
        run(Callbacks(checkpoints=kept), Callbacks(at(1), kept))
    assert (tmp_path / "lesson-2.checkpoint").exists()
    again = Callbacks(checkpoints=Checkpoints(tmp_path, 0.0, "run"))
    assert bits(run(again, again)) == bits(run())


def test_time_that_was_spent_counts_towards_the_cap(tmp_path, monkeypatch):
    plan = replace(LONG, max_minutes=7.5 / 60)
    monkeypatch.setattr(loop, "time", Clock(0.125))  # eight steps take a second
    monkeypatch.setattr(training, "time", Clock(0.0))
    cut_off(tmp_path, plan)
    resumed = train(EVENTS, plan, kept_in(tmp_path))
    assert (resumed.curve[-1].step, resumed.capped) == (60, True)


def test_what_comes_before_the_first_step_counts_towards_the_cap(monkeypatch):
    monkeypatch.setattr(loop, "time", Clock(0.125))
    monkeypatch.setattr(training, "time", Clock(2.5))
    model = train(EVENTS, replace(LONG, max_minutes=7.5 / 60))
    assert (model.curve[-1].step, model.capped, model.seconds) == (40, True, 7.5)


class Clock:
    """Goes on by so many seconds whenever it is read."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._read = seconds, 0

    def monotonic(self) -> float:
        self._read += 1
        return self._read * self._seconds


@pytest.mark.parametrize(
    "other", [replace(LONG, seed=1), replace(LONG, weight_decay=0.5)], ids=["seed", "decay"]
)
def test_a_checkpoint_of_another_plan_is_ignored(tmp_path, other):
    cut_off(tmp_path)
    with capture_logs() as logs:
        assert first_step(tmp_path, other) == 20
    assert logs[0]["reason"] == "it is of another job"


def test_a_checkpoint_of_another_run_is_ignored(tmp_path):
    cut_off(tmp_path)
    assert first_step(tmp_path, run="another run") == 20


def test_a_checkpoint_of_other_events_is_ignored(tmp_path):
    cut_off(tmp_path)
    reports: list[Progress] = []
    train(walks(n_users=60, seed=1), LONG, kept_in(tmp_path, reports.append))
    assert reports[0].step == 20


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_checkpoint_is_ignored_wherever_the_damage_is(tmp_path_factory, place, flip):
    directory = tmp_path_factory.mktemp("damaged")
    kept = Checkpoints(directory, 0.0, "run").next_lesson("key")
    kept.save({"at": [1, 2, 3.0], "weights": torch.arange(40.0)})
    (file,) = directory.iterdir()
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= flip
    file.write_bytes(content)
    with capture_logs() as logs:
        assert kept.saved() is None
    assert logs[0]["event"] == "checkpoint ignored"


def test_a_checkpoint_that_is_cut_short_is_ignored(tmp_path):
    cut_off(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    assert first_step(tmp_path) == 20


def test_a_checkpoint_that_cannot_be_written_costs_the_run_nothing(tmp_path):
    gone = tmp_path / "nowhere"
    model = train(EVENTS, LONG, kept_in(gone))
    assert bits(model) == bits(whole())


def test_what_a_process_left_that_was_killed_while_it_wrote_goes_with_the_next_one(tmp_path):
    left, kept = tmp_path / "lesson-1.4711.partial", tmp_path / "lesson-1.checkpoint"
    for file in (left, kept):
        file.write_bytes(b"a part")
    Checkpoints(tmp_path, 0.0, "run")
    assert (left.exists(), kept.exists()) == (False, True)


def test_checkpoints_are_written_by_the_clock(tmp_path):
    seldom = Checkpoints(tmp_path, 3600.0, "run")
    train(EVENTS, LONG, Callbacks(lambda _: _none_yet(tmp_path), seldom))
    assert len(list(tmp_path.iterdir())) == 1  # of the end


def _none_yet(directory: Path) -> None:
    assert not list(directory.iterdir())


@pytest.mark.parametrize("steps", [0, 1, 7, 10_000])
def test_a_course_goes_on_behind_any_step_as_it_would_have(steps):
    course = Course(training_rows(EVENTS, np.unique(EVENTS.item_key), LONG.roles), LONG, LONG.epochs)
    expected = list(course.after(0))[steps:]
    found = list(course.after(steps))
    assert [batch.item.tobytes() for batch in found] == [batch.item.tobytes() for batch in expected]


def test_a_course_ends_with_its_last_step():
    course = Course(training_rows(EVENTS, np.unique(EVENTS.item_key), LONG.roles), LONG, LONG.epochs)
    assert len(list(course.after(0))) == course.steps
    assert list(course.after(course.steps)) == []


def test_a_key_tells_shapes_dtypes_and_where_one_text_ends():
    row = np.arange(4)
    keys = {
        key_of(["ab", "c"], [row]),
        key_of(["a", "bc"], [row]),
        key_of(["ab", "c"], [row.reshape(2, 2)]),
        key_of(["ab", "c"], [row.astype(np.int32)]),
    }
    assert len(keys) == 4


def _learn_and_die(directory: str) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.step >= 40:
            os.kill(os.getpid(), signal.SIGKILL)

    train(EVENTS, LONG, kept_in(Path(directory), on_progress))


def test_a_lesson_goes_on_after_the_death_of_its_process(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_learn_and_die, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert bits(train(EVENTS, LONG, kept_in(tmp_path))) == bits(whole())


def towards_twelve(model: TrainedModel) -> np.ndarray:
    """Answers that get better and then worse."""
    return np.full(1, -abs(float(np.abs(model.item_vectors).sum()) - 12.0))


def test_a_judged_lesson_that_was_cut_off_ends_with_the_same_best_weights(tmp_path):
    judge = towards_twelve
    with pytest.raises(Killed):
        train(EVENTS, LONG, kept_in(tmp_path, at(40)), judge)
    resumed = train(EVENTS, LONG, kept_in(tmp_path), judge=judge)
    judged = train(EVENTS, LONG, judge=judge)
    assert (bits(resumed), resumed.passes) == (bits(judged), judged.passes)
