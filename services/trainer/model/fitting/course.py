"""The course of a schedule: all its batches in order, to be taken up again behind any step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.sequences import TokenBatch, TrainingRows, count_batches, token_batches


class Course:
    """Every pass has a generator of its own, so a course goes on in the middle without what came before.

    Attributes:
        steps: batches of all passes.
        usual_steps: batches of as many passes as the plan derives from the amount of data.
    """

    def __init__(self, rows: TrainingRows, plan: TrainingPlan, passes: int) -> None:
        self._rows, self._seed, self._way = rows, plan.seed, plan.passing(len(rows))
        self._passes = passes
        self._ends = np.cumsum(
            [self._count(number) for number in range(passes)]
        )  # (E,) int64, steps at their ends
        self.steps = int(self._ends[-1])
        self.usual_steps = int(self._ends[min(passes, plan.epochs_for(len(rows))) - 1])

    def ends_pass(self, steps: int) -> bool:
        """Whether the last of the first ``steps`` is the last of a pass."""
        return bool(np.isin(steps, self._ends))

    def after(self, steps: int) -> Iterator[TokenBatch]:
        """The batches that follow the first ``steps``."""
        number = int(np.searchsorted(self._ends, steps, side="right"))
        if number == self._passes:
            return iter(())
        done = steps - (int(self._ends[number - 1]) if number else 0)
        rest = chain.from_iterable(map(self._pass, range(number + 1, self._passes)))
        return chain(islice(self._pass(number), done, None), rest)

    def _pass(self, number: int) -> Iterator[TokenBatch]:
        return token_batches(self._rows, self._way, self._drawing(number))

    def _count(self, number: int) -> int:
        return count_batches(self._rows, self._way, self._drawing(number))

    def _drawing(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])
