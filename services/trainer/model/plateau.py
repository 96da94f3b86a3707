"""When to stop: as soon as what was learned last no longer answers better what nobody has learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.trainer.model.averaging import AveragedWeights
from services.trainer.model.plan import PATIENCE

JudgeNow = Callable[[], float]
"""How well the model answers as it is now; higher is better."""


class Plateau:
    """Judges the averaged weights after each pass and keeps the best (early stopping: Prechelt 1998).

    best_pass: passes that gave the best answers; 0 before the first.
    """

    def __init__(self, average: AveragedWeights, judge: JudgeNow | None) -> None:
        """judge: None takes every pass for better than the one before."""
        self._average, self._judge = average, judge
        self._passes, self._best = 0, float("-inf")
        self.best_pass = 0

    def begin(self) -> None:
        """The model has learned before: what it answers now is to be beaten."""
        self._best = self._found()

    def stepped(self) -> None:
        """One more step is done."""
        self._average.step()

    def passed(self) -> None:
        """One more pass is done."""
        self._passes += 1
        with self._average.applied():
            found = self._found()
        if found > self._best:
            self._best, self.best_pass = found, self._passes
            self._average.keep()

    def _found(self) -> float:
        return self._judge() if self._judge else float(self._passes)

    def take_best(self) -> int:
        """Puts the best weights into the model, for good; returns the passes behind them."""
        self._average.take_best()
        return self.best_pass

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
        return {"average": self._average.state(), "at": [self._passes, self.best_pass, self._best]}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another stood."""
        self._average.restore(state["average"])
        self._passes, self.best_pass, self._best = state["at"]
