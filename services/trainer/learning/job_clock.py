"""How much of a job's time is left for its second lesson."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from services.trainer.model.fitting.parallel import Ranks
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel

LEAST_SHARE = 0.02
"""Of the time, which the second lesson gets however late it is: what is newest is to be learned."""
AFTERWARDS = 0.025
"""Share of the time for what follows the second lesson beside rules: carrying the head over, the card, packing."""


class JobClock:
    """Runs from when it is made. Decision: the time allowed is that of the whole job, since whoever waits for a model
    does not ask what took it; lessons are what can be shortened, so the last one gets what the rest has left."""

    def __init__(self, minutes: float) -> None:
        self._minutes, self._begun = minutes, time.monotonic()
        self._candidate_seconds = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Round the making of the candidate: its first lesson, its rules and their weights."""
        begun = time.monotonic()
        yield
        self._candidate_seconds = time.monotonic() - begun

    def second_lesson(self, plan: TrainingPlan, first: TrainedModel) -> TrainingPlan:
        """The plan with the time that is left for a second lesson; for several ranks, what the first has left.

        plan: `first` was trained by it, by this process or, before it was cut off, by another one.
        """
        spent = max(time.monotonic() - self._begun, first.seconds)
        rules = max(self._candidate_seconds - first.seconds, 0.0)  # they are counted again behind the lesson
        left = (1.0 - AFTERWARDS) * self._minutes - (spent + rules) / 60.0
        left = Ranks.here().number_of_first(max(left, LEAST_SHARE * self._minutes))
        return replace(plan, second_minutes=left)
