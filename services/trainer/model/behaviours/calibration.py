"""Platt scaling: log-odds that a network gives, made into log-odds that hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.trainer.model.behaviours.logistic import logistic_regression

_RIDGE = 10.0
"""About as many labels say that the log-odds hold already."""
_LEAST_SPREAD = 1e-6


class Scaling(NamedTuple):
    """probability = sigmoid(slope * z + shift); slope >= 0, so that the order of items stays."""

    slope: float
    shift: float

    def probabilities(self, log_odds: np.ndarray) -> np.ndarray:
        """``(N,) float64`` of ``log_odds (N,)``."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.slope * log_odds + self.shift, -500, 500)))


def platt_scaling(log_odds: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Scaling:
    """The scaling that makes the labels most likely (Platt 1999).

    Targets are Platt's (N+ + 1) / (N+ + 2) and 1 / (N- + 2) instead of 1 and 0, so that few labels do not make for sure
    probabilities; and the slope is drawn towards 1, since the log-odds are those of a model that was fitted for them.
    Where they tell the opposite all the same, the slope is 0: the base rate.

    Args:
        log_odds: ``(N,) float``.
        labels: ``(N,) bool``, at least one row.
        weights: ``(N,) float``, 0 or more; what a row with a label weighs counts as one row.
    """
    positives, negatives = labels @ weights, ~labels @ weights
    targets = np.where(labels, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    centre, spread = float(log_odds.mean()), max(float(log_odds.std()), _LEAST_SPREAD)
    slope, shift = logistic_regression((log_odds - centre) / spread, targets, weights, _RIDGE, spread)
    if slope <= 0.0:
        share = float(np.average(targets, weights=weights))
        return Scaling(0.0, float(np.log(share / (1.0 - share))))
    return Scaling(float(slope / spread), float(shift - slope / spread * centre))
