"""How the record of a run changes as it goes, and the numbers that Prometheus reads."""

from __future__ import annotations

import time
import uuid

from prometheus_client import Counter, Gauge

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_READING,
    TRAINING_STATE_SUCCEEDED,
    GateDecision,
    TrainingRun,
    TrainingState,
    TrainingTrigger,
)
from services.trainer.policies.gate import Decision
from services.trainer.processes.reports import Learned

STOPPED = "the trainer was stopped"

RUNS = Counter("freshet_training_runs_total", "Training runs that ended, by state.", ["state"])
RUNNING = Gauge("freshet_training_running", "1 while a training run goes on.")
RESUMED = Counter("freshet_training_resumed_total", "Times that a training run went on after it was cut off.")
STEP = Gauge("freshet_training_step", "Steps of learning done in the newest run.")
LOSS = Gauge("freshet_training_loss", "Training loss of the newest run, a mean over its newest steps.")
SPEED = Gauge("freshet_training_examples_per_second", "Speed of learning in the newest run.")
PHASE_SECONDS = Gauge("freshet_training_phase_seconds", "Time the newest run spent in a state.", ["state"])
CHAMPION_NDCG = Gauge("freshet_champion_ndcg_at_10", "NDCG@10 of the champion when it was judged.")


def new_run(trigger: TrainingTrigger) -> TrainingRun:
    """A run that starts now."""
    run = TrainingRun(run_id=uuid.uuid4().hex[:12], trigger=trigger, state=TRAINING_STATE_READING)
    run.start_time.GetCurrentTime()
    return run


def note_resumed(run: TrainingRun) -> None:
    """It goes on, from reading."""
    run.state = TRAINING_STATE_READING
    run.resumed_count += 1
    RESUMED.inc()


def note_learning(run: TrainingRun, report: Learned) -> None:
    """How learning goes."""
    for name, value in report._asdict().items():
        setattr(run, name, value)
    STEP.set(report.step)
    LOSS.set(report.loss)
    SPEED.set(report.examples_per_second)


def succeeded(run: TrainingRun, model_version: str, decision: Decision) -> TrainingRun:
    """The run as it stands at its end with a model."""
    ended = _ended(run, TRAINING_STATE_SUCCEEDED)
    ended.model_version = model_version
    ended.decision.CopyFrom(GateDecision(promoted=decision.promoted, reason=decision.reason))
    return ended


def failed(run: TrainingRun, reason: str) -> TrainingRun:
    """The run as it stands at its end without a model."""
    ended = _ended(run, TRAINING_STATE_FAILED)
    ended.error = reason
    return ended


def _ended(run: TrainingRun, state: TrainingState) -> TrainingRun:
    ended = TrainingRun()
    ended.CopyFrom(run)
    ended.state, ended.eta_seconds = state, 0.0
    ended.end_time.GetCurrentTime()
    return ended


def state_word(state: TrainingState) -> str:
    """A state in one lower-case word, for labels and logs."""
    return TrainingState.Name(state).removeprefix("TRAINING_STATE_").lower()


class PhaseClock:
    """Seconds that a run has spent in each state; a state that is entered twice adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._state, self._since = "", time.monotonic()

    def enter(self, state: TrainingState) -> None:
        """Ends the state before."""
        now = time.monotonic()
        if self._state:
            self.seconds[self._state] = self.seconds.get(self._state, 0.0) + now - self._since
            PHASE_SECONDS.labels(self._state).set(self.seconds[self._state])
        self._state, self._since = state_word(state), now
