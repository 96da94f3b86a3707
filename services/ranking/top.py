"""Choosing the best items of a score table. Pure numpy."""

from __future__ import annotations

import numpy as np


def top_rows(scores: np.ndarray, limit: int) -> np.ndarray:
    """Places of the `limit` highest of `scores` (V,) float32, best first, without those that are -inf.

    Equal scores come in the order of their places, so that the answer is the same everywhere.
    """
    limit = min(limit, len(scores))
    if limit == 0:
        return np.empty(0, np.int64)
    threshold = np.partition(scores, -limit)[-limit]
    above = np.flatnonzero(scores > threshold)
    level = np.flatnonzero(scores == threshold)[: limit - len(above)]
    best = np.concatenate([above, level])
    best = best[np.lexsort((best, -scores[best]))]
    return best[scores[best] > -np.inf]
