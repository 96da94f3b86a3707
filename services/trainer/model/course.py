"""The course of a schedule: all its batches in order, to be taken up again behind any step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import numpy as np

from services.trainer.model.plan import TrainingPlan
from services.trainer.model.sequences import TokenBatch, TrainingRows, token_batches


class Course:
    """Every pass has a generator of its own, so a course goes on in the middle without what came before.

    Attributes:
        steps: batches of all passes.
    """

    def __init__(self, rows: TrainingRows, plan: TrainingPlan) -> None:
        self._rows, self._plan = rows, plan
        self._tokens = plan.batch_tokens_for(len(rows))
        self._epochs = plan.epochs_for(len(rows))
        counts = [sum(1 for _ in self._epoch(epoch)) for epoch in range(self._epochs)]
        self._ends = np.cumsum(counts)  # (E,) int64, steps done at the end of each pass
        self.steps = int(self._ends[-1])

    def after(self, steps: int) -> Iterator[TokenBatch]:
        """The batches that follow the first ``steps``."""
        epoch = int(np.searchsorted(self._ends, steps, side="right"))
        if epoch == self._epochs:
            return iter(())
        done = steps - (int(self._ends[epoch - 1]) if epoch else 0)
        rest = chain.from_iterable(map(self._epoch, range(epoch + 1, self._epochs)))
        return chain(islice(self._epoch(epoch), done, None), rest)

    def _epoch(self, epoch: int) -> Iterator[TokenBatch]:
        generator = np.random.default_rng([self._plan.seed, epoch])
        return token_batches(self._rows, self._plan.window, self._tokens, generator)
