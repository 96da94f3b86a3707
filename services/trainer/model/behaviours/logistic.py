"""Logistic regression on few columns, by Newton's method: always the same answer, in milliseconds."""

from __future__ import annotations

import numpy as np

_STEPS = 500
"""At most; each is at most 1 long, so that it takes as many to get to a coefficient that is large."""
_ENOUGH = 1e-9


def logistic_regression(
    columns: np.ndarray, targets: np.ndarray, weights: np.ndarray, ridge: float, expected: float = 0.0
) -> np.ndarray:
    """Coefficients ``(K + 1,) float64`` of the most likely model, the constant last.

    Args:
        columns: ``(N, K) float``, of about unit size.
        targets: ``(N,) float`` in [0, 1], of more than one value or none of 0 and 1.
        weights: ``(N,) float``, 0 or more, not all 0.
        ridge: what the squared distance of each coefficient, but for the constant, from `expected` costs, above 0.
        expected: what the coefficients are without any rows.
    """
    columns = np.column_stack([columns, np.ones(len(targets))]).astype(np.float64)
    share = np.average(targets, weights=weights)
    found = np.append(np.zeros(columns.shape[1] - 1), np.log(share / (1.0 - share)))
    prior = np.append(np.full(len(found) - 1, expected), 0.0)
    shrink = np.append(np.full(len(found) - 1, ridge), 0.0)
    for _ in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(columns @ found, -500, 500)))
        gradient = columns.T @ (weights * (probability - targets)) + shrink * (found - prior)
        spread = weights * probability * (1.0 - probability)
        curvature = (columns * spread[:, None]).T @ columns + np.diag(shrink + _ENOUGH)
        step = np.linalg.solve(curvature, gradient)
        found -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < _ENOUGH:
            break
    return found
