"""Ranking metrics from ranks, and a paired comparison of two rankers.

Every user contributes one held-out item; its rank is 1 for the best-scored candidate. With a single relevant
item the ideal DCG is 1, so NDCG needs no normalisation.

An item may share its score with others. Then it gains the mean over all orders of those that are equal, so that a
coarse scorer gains nothing by being coarse (McSherry & Najork 2008). Ranks are therefore pairs: the first and the last
that the item could have, equal where nothing ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def hit_rate(ranks: np.ndarray, k: int) -> float:
    """HR@k = mean over users of [rank <= k].

    Args:
        ranks: ``(U, 2) int``, first and last rank of each user's tie.
        k: cut-off, >= 1.

    Returns:
        In [0, 1], higher is better; 0 for no users.

    Raises:
        ValueError: k < 1, a rank below 1, or a last rank before the first.
    """
    return _mean(hit_gains(ranks, k))


def ndcg(ranks: np.ndarray, k: int) -> float:
    """NDCG@k = mean over users of [rank <= k] / log2(rank + 1).

    One relevant item per user (Järvelin & Kekäläinen 2002, with ideal DCG = 1).

    Args:
        ranks: ``(U, 2) int``, first and last rank of each user's tie.
        k: cut-off, >= 1.

    Returns:
        In [0, 1], higher is better; 1 when every rank is 1; 0 for no users.

    Raises:
        ValueError: k < 1, a rank below 1, or a last rank before the first.
    """
    return _mean(ndcg_gains(ranks, k))


def mrr(ranks: np.ndarray, k: int) -> float:
    """MRR@k = mean over users of [rank <= k] / rank.

    Args:
        ranks: ``(U, 2) int``, first and last rank of each user's tie.
        k: cut-off, >= 1.

    Returns:
        In [0, 1], higher is better; 0 for no users.

    Raises:
        ValueError: k < 1, a rank below 1, or a last rank before the first.
    """
    return _mean(mrr_gains(ranks, k))


def coverage(top_items: np.ndarray, catalogue_size: int) -> float:
    """Coverage@k = distinct items in all users' top k / catalogue size.

    Args:
        top_items: ``(U, k) int``, item indices of each user's list; negative marks an empty place.
        catalogue_size: number of items that could have been recommended.

    Returns:
        In [0, 1]; 0 for no users or an empty catalogue.
    """
    if catalogue_size == 0:
        return 0.0
    return len(np.unique(top_items[top_items >= 0])) / catalogue_size


def untied(ranks: np.ndarray) -> np.ndarray:
    """``(..., 2) int``: ``ranks (...) int`` of items that share theirs with no other."""
    return np.stack([ranks, ranks], axis=-1)


def hit_gains(ranks: np.ndarray, k: int) -> np.ndarray:
    """Each share in `hit_rate` of ``ranks (..., 2)``: ``(...) float64`` in [0, 1]."""
    return _mean_over_ties(ranks, k, np.ones(k))


def ndcg_gains(ranks: np.ndarray, k: int) -> np.ndarray:
    """Each share in `ndcg` of ``ranks (..., 2)``: ``(...) float64`` in [0, 1]."""
    return _mean_over_ties(ranks, k, 1 / np.log2(np.arange(k) + 2.0))


def mrr_gains(ranks: np.ndarray, k: int) -> np.ndarray:
    """Each share in `mrr` of ``ranks (..., 2)``: ``(...) float64`` in [0, 1]."""
    return _mean_over_ties(ranks, k, 1 / np.arange(1.0, k + 1))


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much better a candidate is than a champion on the same users.

    Attributes:
        mean: mean of (candidate gain - champion gain), in the unit of the gains.
        low: lower end of the confidence interval.
        high: upper end of the confidence interval.
        confidence: coverage of the interval, in (0, 1).
        n_users: number of users compared.
    """

    mean: float
    low: float
    high: float
    confidence: float
    n_users: int

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0.0


def paired_bootstrap(
    candidate: np.ndarray,
    champion: np.ndarray,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Percentile interval of the mean paired difference (Efron & Tibshirani 1993, ch. 13).

    Users are drawn with replacement ``resamples`` times; both rankers keep the same users in each draw, so
    what makes a user easy or hard for both cancels out.

    Args:
        candidate: ``(U,) float``, gain per user.
        champion: ``(U,) float``, gain of the same users in the same order.
        confidence: in (0, 1).
        resamples: number of draws, >= 1.
        seed: the interval is a function of the inputs and this seed.

    Returns:
        The difference; for no users all of it is 0, and for one user the interval is that user's difference.

    Raises:
        ValueError: lengths differ, or confidence is outside (0, 1).
    """
    if candidate.shape != champion.shape:
        raise ValueError(f"gains must be of the same users, got {candidate.shape} and {champion.shape}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    difference = np.asarray(candidate, np.float64) - np.asarray(champion, np.float64)
    if len(difference) == 0:
        return PairedDifference(0.0, 0.0, 0.0, confidence, 0)
    means = _resampled_means(difference, resamples, seed)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedDifference(float(difference.mean()), float(low), float(high), confidence, len(difference))


LEAST_WITNESSES = 6
"""Users. Decision: an interval of fewer tells nothing, wherever it lies. All of five speak for the same one of two
rankers that are alike in one of 32 cases each, more than the 2.5 % that lie on each side of a 95 % interval; and a
single user always does."""


def lead_words(low: float, high: float, users: int) -> str:
    """What the 95 % interval of one ranker's lead over another says, as the verb of a sentence."""
    if users < LEAST_WITNESSES:
        return f"does not clearly beat, by {users} of the {LEAST_WITNESSES} users that it takes,"
    return "beats" if low > 0 else "does worse than" if high < 0 else "does not clearly beat"


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """``(resamples,) float64``: draws one resample at a time, so memory stays O(U)."""
    generator = np.random.default_rng(seed)
    size = len(values)
    return np.array([values[generator.integers(0, size, size)].mean() for _ in range(resamples)])


def _mean(gains: np.ndarray) -> float:
    return float(gains.mean()) if len(gains) else 0.0


def _mean_over_ties(ranks: np.ndarray, k: int, gains: np.ndarray) -> np.ndarray:
    """``gains (k,)``: of the ranks 1 to k; those behind gain nothing."""
    _check(ranks, k)
    first, last = ranks[..., 0], ranks[..., 1]
    up_to = np.append(0.0, np.cumsum(gains))
    return (up_to[np.minimum(last, k)] - up_to[np.minimum(first - 1, k)]) / (last - first + 1)


def _check(ranks: np.ndarray, k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if ranks.shape[-1] != 2:
        raise ValueError(f"ranks are pairs (first, last) in the last axis, got {ranks.shape}")
    if len(ranks) and ranks[..., 0].min() < 1:
        raise ValueError("ranks start at 1")
    if (ranks[..., 1] < ranks[..., 0]).any():
        raise ValueError("a tie's last rank lies before its first")
