"""When to stop: as soon as what was learned last no longer answers better what nobody has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.trainer.model.fitting.averaging import AveragedWeights
from services.trainer.model.fitting.plan import PATIENCE

JudgeNow = Callable[[], np.ndarray]
"""How well the model answers each question as it is now, ``(Q,) float64``; higher is better."""


class Plateau:
    """Judges the averaged weights after each pass and keeps the best (early stopping: Prechelt 1998).

    best_pass: passes that gave the best answers; 0 before the first. last_good_pass: the last one whose answers are not
    clearly worse, 0 before the first.
    """

    def __init__(self, average: AveragedWeights, judge: JudgeNow | None) -> None:
        """judge: None takes every pass for better than the one before."""
        self._average, self._judge = average, judge
        self._passes, self._best = 0, np.empty(0)
        self.best_pass = self.last_good_pass = 0

    def begin(self) -> None:
        """The model has learned before: what it answers now is to be beaten."""
        self._best = self._found()

    def changes(self, rows: Tensor) -> None:
        """See `AveragedWeights.changes`."""
        self._average.changes(rows)

    def stepped(self) -> None:
        """One more step is done."""
        self._average.step()

    def passed(self) -> None:
        """One more pass is done."""
        self._passes += 1
        with self._average.applied():
            found = self._found()
        if not len(self._best) or found.mean() > self._best.mean():
            self._best, self.best_pass, self.last_good_pass = found, self._passes, self._passes
            self._average.keep()
        elif self.best_pass and within_one_error(found, self._best):
            self.last_good_pass = self._passes

    def _found(self) -> np.ndarray:
        return self._judge() if self._judge else np.full(1, float(self._passes))

    def take_best(self) -> None:
        """Puts the best weights into the model, for good."""
        self._average.take_best()

    @property
    def passes(self) -> int:
        """How many are done."""
        return self._passes

    @property
    def reached(self) -> bool:
        """Whether it is time to stop."""
        return self._passes - self.best_pass >= PATIENCE

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        at = [self._passes, self.best_pass, self.last_good_pass]
        return {"average": self._average.state(), "at": at, "best": torch.from_numpy(self._best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another stood."""
        self._average.restore(state["average"])
        self._passes, self.best_pass, self.last_good_pass = state["at"]
        self._best = state["best"].numpy()


def within_one_error(found: np.ndarray, best: np.ndarray) -> bool:
    """Whether answers to the same questions, ``(Q,) float64`` each, are less than a standard error of the difference
    worse than the best (paired)."""
    behind = best - found
    return bool(behind.mean() <= behind.std() / np.sqrt(len(behind)))
