"""What a training run is told, what it reports, and how it can fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.trainer.model.encoders.names import DEFAULT_LOSS, DEVICES, LOSSES
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.encoders.signature import EncoderConfig
from services.trainer.model.sequences import EventRoles, Passing

_MOST_EPOCHS = 100
BESIDE_LESSONS = 0.1
"""Share of the time allowed for what is no lesson: counting rules, being judged, packing."""
_LEAST_LEFT = 0.1
PATIENCE = 4
"""Passes without a better answer after which a run ends."""


class TrainingError(Exception):
    """Training ended without a model."""


class NotEnoughEvents(TrainingError):
    """No user has two events of which the second is to be predicted."""


class TrainingDiverged(TrainingError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that decides a run, beside the events.

    Attributes:
        encoder: shape of the encoder.
        roles: which event types are read, predicted and excluded.
        epochs: passes over the events. 0: where answers can be judged on the way, as many as help, 100 at most; else
            25 for 100,000 events, fewer for more, in [6, 60].
        max_minutes: wall-clock cap; a slower run gets a shorter schedule that still ends at learning rate 0.
        second_minutes: the same for the lesson over everything that follows a judged one; 0: what that has left.
        window: longest history learned from, in events; about the length served.
        batch_tokens: events per step; 0 derives them: a hundredth of the data, in [128, 1024].
        learning_rate: peak of the cosine schedule; 0 takes the encoder's own.
        weight_decay: decoupled decay of vectors and weights (Loshchilov & Hutter 2019).
        exact_up_to: largest catalogue that is trained with the exact softmax. 2,000: above, a sample is quicker to the
            same quality (on 2 cores with 3,400 items a step takes two fifths of the time, with 9,800 a sixth).
        n_negatives: sample size of the softmax above that, and of gBCE.
        loss: "softmax" or "gbce" (see `objective`).
        gbce_calibration: t of gBCE, in [0, 1].
        trim_share: share of a step's examples, those of the highest losses, that is left out against noise once
            the model knows what is regular; in [0, 1).
        trim_warm_up: share of the schedule in which nothing is left out; over as many steps again the share
            grows to its full size.
        continuation: share of a full run's passes, and of its peak learning rate, that
            `continue_training` takes where its answers are not judged on the way.
        judged_continuation: share of the peak learning rate that it takes where they are.
        steady: whether a run of planned length keeps its learning rate and averages its weights, as one does that is
            judged on the way; else its rate falls to zero.
        refit: share of the passes that were found to help which a run makes that repeats them with more events. 1.25:
            the curve of answers is flat there, and what is new was held out.
        learned_to: position of the log that a continuation's model has learned; it goes through what is later, and
            through ``replay`` times as much of the rest. 0: through everything.
        replay: >= 0.
        seed: of initialisation, order and dropout.
        threads: torch threads; part of what a run is a function of.
        device: "auto", "cpu" or "cuda" (see `device`).
        mixed_precision: whether matrices are multiplied in bfloat16; None: on a GPU only.
    """

    encoder: EncoderConfig = field(default_factory=config_of)
    roles: EventRoles = field(default_factory=EventRoles)
    epochs: int = 0
    max_minutes: float = 10.0
    second_minutes: float = 0.0
    window: int = 50
    batch_tokens: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.01
    exact_up_to: int = 2_000
    n_negatives: int = 512
    loss: str = DEFAULT_LOSS
    gbce_calibration: float = 0.75
    trim_share: float = 0.0
    trim_warm_up: float = 0.2
    continuation: float = 0.2
    judged_continuation: float = 0.5
    steady: bool = False
    refit: float = 1.25
    learned_to: int = 0
    replay: float = 1.0
    seed: int = 0
    threads: int = 2
    device: str = "auto"
    mixed_precision: bool | None = None

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"there is no loss {self.loss!r}; there are {', '.join(LOSSES)}")
        if self.device not in DEVICES:
            raise ValueError(f"there is no device {self.device!r}; there are {', '.join(DEVICES)}")
        if not 0.0 <= self.trim_share < 1.0:
            raise ValueError(f"trim_share must lie in [0, 1), got {self.trim_share}")

    def within(self, minutes: float, continuations: int = 0) -> TrainingPlan:
        """The plan whose lessons together take so many minutes at most, with what belongs to them: a first one that is
        judged on the way and a second over everything, and as often both again as there are continuations."""
        lessons = 1.0 + (1.0 + 2.0 * continuations) * self.continuation
        return replace(self, max_minutes=minutes * (1.0 - BESIDE_LESSONS) / lessons)

    def after(self, seconds: float) -> TrainingPlan:
        """The plan of a lesson of whose time so much is over; a tenth of the time is left at least."""
        left = max(self.max_minutes - seconds / 60.0, self.max_minutes * _LEAST_LEFT)
        return replace(self, max_minutes=left)

    def continued(self, learned_to: int = 0) -> TrainingPlan:
        """The plan of a continuation, which gets its share of the time; `learned_to` as the attribute."""
        minutes = self.second_minutes or self.max_minutes * self.continuation
        return replace(self, max_minutes=minutes, second_minutes=0.0, learned_to=learned_to)

    def refitted(self, passes: int, pass_seconds: float, spent_seconds: float) -> TrainingPlan | None:
        """The plan of a run that repeats, with more events, one by this plan that took ``spent_seconds`` and that
        `passes` passes of ``pass_seconds`` have helped, and makes some more if there is time; None when what is left of
        its time and that of a continuation does not reach for as many."""
        left = self.second_minutes or self.max_minutes * (1.0 + self.continuation) - spent_seconds / 60.0
        affordable = 60.0 * left / max(pass_seconds, 1e-9)  # infinite when the time is
        if affordable < max(passes, 1):
            return None
        epochs = int(min(self.refit_passes(passes), affordable))
        return replace(self, epochs=epochs, max_minutes=left, second_minutes=0.0, steady=True)

    def refit_passes(self, passes: int) -> int:
        """How many a run makes that repeats one that `passes` have helped, if there is time."""
        return max(1, round(passes * self.refit))

    @property
    def untimed(self) -> TrainingPlan:
        """What decides a run that no cap shortens."""
        return replace(self, max_minutes=math.inf, second_minutes=0.0)

    @property
    def peak_rate(self) -> float:
        """Peak of the cosine schedule."""
        return self.learning_rate or self.encoder.learning_rate

    def trim_share_at(self, progress: float) -> float:
        """Share of the worst examples left out when ``progress`` of the schedule is done, in [0, 1]."""
        grown = progress / max(self.trim_warm_up, 1e-9) - 1.0
        return self.trim_share * min(max(grown, 0.0), 1.0)

    @property
    def most_epochs(self) -> int:
        """Passes at most, where as many are made as help."""
        return self.epochs or _MOST_EPOCHS

    def epochs_for(self, n_events: int) -> int:
        """Passes over ``n_events`` events."""
        derived = round(25 * math.sqrt(100_000 / max(n_events, 1)))
        return self.epochs or min(max(derived, 6), 60)

    def passing(self, n_events: int) -> Passing:
        """How ``n_events`` events are gone through."""
        return Passing(self.window, self.batch_tokens_for(n_events), self.learned_to, self.replay)

    def batch_tokens_for(self, n_events: int) -> int:
        """Events per step for ``n_events`` events."""
        return self.batch_tokens or min(max(n_events // 100, 128), 1024)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done, from 1.
        total_steps: length of the schedule as it is now planned.
        loss: mean over the steps since the last report, in nats.
        examples_per_second: targets learned per second so far.
        eta_seconds: time left at this speed.
    """

    step: int
    total_steps: int
    loss: float
    examples_per_second: float
    eta_seconds: float


OnProgress = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Reports nothing."""
