"""How good probabilities are: log loss, the area under the ROC curve, and the expected calibration error.

Labels ``(N,) bool`` tell what happened, probabilities ``(N,) float`` what was foretold, weights ``(N,) float`` how many
rows each row stands for; without weights each stands for itself. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import numpy as np

BINS = 15
"""Of the calibration error (Guo et al. 2017 use as many)."""
_LEAST_PROBABILITY = 1e-12


def log_loss(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of -log(probability of what happened), in nats, >= 0, lower is better; 0 for no rows.

    Probabilities are kept 1e-12 away from 0 and 1, so that one that was sure and wrong costs much, not infinity.

    Raises:
        ValueError: lengths differ, a probability lies outside [0, 1], or a weight is negative.
    """
    labels, probabilities, weights = _checked(labels, probabilities, weights)
    sure = np.clip(probabilities, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return _mean(-np.log(np.where(labels, sure, 1.0 - sure)), weights)


def base_rate(labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The share of rows with the label, in [0, 1]; 0 for no rows. Raises ValueError as `log_loss`."""
    labels, _, weights = _checked(labels, np.zeros(len(labels)), weights)
    return _mean(labels.astype(np.float64), weights)


def base_rate_log_loss(labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Log loss of who foretells the base rate for every row: the bar of everybody else. Raises as `log_loss`."""
    return log_loss(labels, np.full(len(labels), base_rate(labels, weights)), weights)


def auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """P(a row with the label has the higher probability than one without), ties count half.

    The Mann-Whitney statistic (Hanley & McNeil 1982).

    Returns:
        In [0, 1], 0.5 is chance, and the answer when either kind of row is missing.

    Raises:
        ValueError: as `log_loss`.
    """
    labels, probabilities, weights = _checked(labels, probabilities, weights)
    level = np.unique(probabilities, return_inverse=True)[1]
    positive = np.bincount(level, np.where(labels, weights, 0.0))
    negative = np.bincount(level, np.where(labels, 0.0, weights))
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return 0.5
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2.0)).sum() / pairs)


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> float:
    """How far what was foretold is from what happened, in bins of about equal mass.

        ECE = sum over bins b of (mass of b) * |share of labels in b - mean probability in b|

    (Naeini et al. 2015, with bins of equal mass as Nguyen & O'Connor 2015: bins of equal width would hold next to all
    rows in the first one where behaviours are rare.) Rows of one probability share a bin. Also for perfect
    probabilities it is above 0 where a bin holds few rows with the label.

    Returns:
        In [0, 1], lower is better; 0 for no rows.

    Raises:
        ValueError: as `log_loss`, or bins < 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    labels, probabilities, weights = _checked(labels, probabilities, weights)
    total = weights.sum()
    if not total:
        return 0.0
    place = _equal_mass(probabilities, weights, bins)
    gaps = np.bincount(place, weights * (labels - probabilities), minlength=bins)
    return float(np.abs(gaps).sum() / total)


def _equal_mass(probabilities: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """``(N,) int``: the bin of each row, by where the middle of its probability's mass lies."""
    level = np.unique(probabilities, return_inverse=True)[1]
    mass = np.bincount(level, weights)
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    return np.minimum((middle * bins).astype(np.int64), bins - 1)[level]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else 0.0


def _checked(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probabilities = np.asarray(probabilities, np.float64)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    if not len(labels) == len(probabilities) == len(weights):
        raise ValueError(f"{len(labels)} labels, {len(probabilities)} probabilities, {len(weights)} weights")
    if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    if not (weights >= 0.0).all():
        raise ValueError("weights must not be negative")
    return np.asarray(labels, bool), probabilities, weights
