"""Learning rates: how they run, and when a run ends."""

from __future__ import annotations

import math
from typing import Protocol

_MEASURE_AFTER = 20
_LONGEST_WARM_UP = 100
_COOL_DOWN = 0.2
"""The last share of the time allowed, in which the rate falls to zero."""


class Schedule(Protocol):
    """A learning rate by step, within a time cap.

    Attributes:
        total: steps as now planned.
        capped: whether the time cap has changed the run.
    """

    total: int
    capped: bool

    def observe(self, step: int, elapsed: float) -> None:
        """Plans anew from ``step`` steps done in ``elapsed`` seconds."""

    def rate(self, step: int) -> float:
        """Share of the peak learning rate for step ``step`` (from 0), in [0, 1]."""


class CosineSchedule:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, eq. 5): for runs of known length.

    The number of steps shrinks when the measured speed would overrun the time cap.
    """

    def __init__(self, planned: int, max_seconds: float) -> None:
        self._planned, self._max_seconds = planned, max_seconds
        self.total, self.capped = planned, False

    def observe(self, step: int, elapsed: float) -> None:
        """See `Schedule.observe`."""
        if step < _MEASURE_AFTER and elapsed < self._max_seconds:
            return
        self.total = _affordable(step, elapsed, self._planned, self._max_seconds)
        self.capped = self.total < self._planned

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        progress = min(step / max(self.total, 1), 1.0)
        return _warm_up(step, self.total) * 0.5 * (1.0 + math.cos(math.pi * progress))


class SteadySchedule:
    """Linear warm-up, then the peak for as long as it helps (Hägele et al. 2024, https://arxiv.org/abs/2405.18392): for
    runs whose length nobody knows. Should the time run out first, the rate falls to zero until then."""

    def __init__(self, planned: int, max_seconds: float) -> None:
        self._planned, self._max_seconds = planned, max_seconds
        self.total, self.capped = planned, False
        self._left = 1.0

    def observe(self, step: int, elapsed: float) -> None:
        """See `Schedule.observe`."""
        self._left = 1.0 - elapsed / self._max_seconds
        self.capped = self._left < _COOL_DOWN
        if self._left <= 0.0:
            self.total = step
        elif step >= _MEASURE_AFTER:
            self.total = _affordable(step, elapsed, self._planned, self._max_seconds)

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        return _warm_up(step, self._planned) * min(1.0, max(self._left, 0.0) / _COOL_DOWN)


def _affordable(step: int, elapsed: float, planned: int, max_seconds: float) -> int:
    """Steps that fit into the time at the speed of so many in ``elapsed`` seconds: ``planned`` at most, which an
    endless time leaves as it is."""
    fitting = step * max_seconds / max(elapsed, 1e-9)  # infinite when the time is, which no int can be
    return min(planned, max(step, int(min(planned, fitting))))


def _warm_up(step: int, total: int) -> float:
    steps = max(1, min(_LONGEST_WARM_UP, total // 10))
    return min(1.0, (step + 1) / steps)
