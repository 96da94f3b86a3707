"""How sure a figure is: bootstrap over users.

Several questions to one user are no independent witnesses, so users are drawn, each with all of their questions
(Field & Welsh 2007). With one question per user this is the ordinary bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

_CELLS_AT_ONCE = 1 << 22
_COVERAGE_RESAMPLES = 200


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and its interval from low to high."""

    value: float
    low: float
    high: float


class UserBootstrap:
    """Draws the same users for everything that is measured, so differences of two are paired."""

    def __init__(
        self, user_keys: np.ndarray, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
    ) -> None:
        """user_keys: ``(Q,)``, who answered each question. confidence: in (0, 1)."""
        self._users, self._user = np.unique(user_keys, return_inverse=True)
        self._ends = (1 - confidence) / 2, (1 + confidence) / 2
        self._resamples, self._seed = resamples, seed

    def means(self, values: np.ndarray, counted: np.ndarray | None = None) -> list[Estimate]:
        """Means of each column over the questions that count; all 0 where none does.

        Args:
            values: ``(Q, M) float``.
            counted: ``(Q,) bool``; None for all.
        """
        weight = np.ones(len(values)) if counted is None else counted.astype(np.float64)
        if not weight.any():
            return [Estimate(0.0, 0.0, 0.0)] * values.shape[1]
        sums = np.stack([self._per_user(weight * column) for column in values.T], axis=1)  # (U, M)
        counts = self._per_user(weight)[:, None]  # (U, 1)
        both = np.hstack([sums, counts])  # (U, M + 1)
        drawn = np.concatenate([block @ both for block in self._drawn(self._resamples)])  # (R, M + 1)
        drawn = drawn[drawn[:, -1] > 0]
        low, high = np.quantile(drawn[:, :-1] / drawn[:, -1:], self._ends, axis=0)
        return [
            Estimate(*map(float, each)) for each in zip(sums.sum(0) / counts.sum(), low, high, strict=True)
        ]

    def coverage(self, top: np.ndarray, catalogue_items: int) -> Estimate:
        """Share of the catalogue in all lists.

        A resample holds fewer distinct users than there are and so covers less. Only its spread is taken: the
        interval is moved so that its centre of gravity lies on the figure.

        Args:
            top: ``(Q, k) int64``, items of each list; negative marks an empty place.
            catalogue_items: all that could be recommended.
        """
        filled = top >= 0
        if not filled.any():
            return Estimate(0.0, 0.0, 0.0)
        items, item = np.unique(top[filled], return_inverse=True)
        user = np.broadcast_to(self._user[:, None], top.shape)[filled]
        lists = sparse.csr_matrix(
            (np.ones(len(item), np.float32), (item, user)), (len(items), len(self._users))
        )
        resamples = min(self._resamples, _COVERAGE_RESAMPLES)
        shares = np.concatenate([((lists @ block.T) > 0).sum(0) for block in self._drawn(resamples)])
        shares = shares / catalogue_items
        value = len(items) / catalogue_items
        low, high = value + np.quantile(shares, self._ends) - shares.mean()
        return Estimate(value, float(np.clip(low, 0.0, value)), float(np.clip(high, value, 1.0)))

    def _per_user(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._user, values, minlength=len(self._users))

    def _drawn(self, resamples: int) -> Iterator[np.ndarray]:
        """How often each user is in each resample, ``(R', U) float32`` at a time."""
        generator = np.random.default_rng(self._seed)
        users = len(self._users)
        step = max(_CELLS_AT_ONCE // users, 1)
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = generator.integers(0, users, (rows, users)) + np.arange(rows)[:, None] * users
            counts = np.bincount(drawn.ravel(), minlength=rows * users)
            yield counts.reshape(rows, users).astype(np.float32)
