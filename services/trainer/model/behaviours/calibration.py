"""Platt scaling: log-odds that a network gives, made into log-odds that hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_STEPS = 50
_ENOUGH = 1e-9
_RIDGE = 1e-3
_LEAST_SPREAD = 1e-6


class Scaling(NamedTuple):
    """probability = sigmoid(slope * z + shift); slope >= 0, so that the order of items stays."""

    slope: float
    shift: float


def platt_scaling(log_odds: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Scaling:
    """The scaling that makes the labels most likely (Platt 1999), by Newton's method.

    Targets are Platt's (N+ + 1) / (N+ + 2) and 1 / (N- + 2) instead of 1 and 0, so that few labels do not make for sure
    probabilities. Where the log-odds tell nothing, or the opposite, the slope is 0: the base rate.

    Args:
        log_odds: ``(N,) float``.
        labels: ``(N,) bool``, of both kinds.
        weights: ``(N,) float``, above 0.
    """
    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    z = np.asarray(log_odds, np.float64)
    centre, spread = float(np.average(z, weights=weights)), float(z.std())
    columns = np.stack([(z - centre) / max(spread, _LEAST_SPREAD), np.ones(len(z))], axis=1)
    slope, shift = _fitted(columns, targets, weights)
    if slope < 0.0 or spread < _LEAST_SPREAD:
        return Scaling(0.0, float(_fitted(columns[:, 1:], targets, weights)[0]))
    slope /= spread
    return Scaling(float(slope), float(shift - slope * centre))


def _fitted(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients ``(K,)`` of a logistic regression, with next to no shrinkage of all but the last one."""
    share = np.average(targets, weights=weights)
    found = np.zeros(columns.shape[1])
    found[-1] = np.log(share / (1.0 - share))
    ridge = np.full(len(found), _RIDGE)
    ridge[-1] = 0.0
    for _ in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(columns @ found, -500, 500)))
        gradient = columns.T @ (weights * (probability - targets)) + ridge * found
        curvature = (columns * (weights * probability * (1.0 - probability))[:, None]).T @ columns
        step = np.linalg.solve(curvature + np.diag(ridge + _ENOUGH), gradient)
        found -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < _ENOUGH:
            break
    return found
