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
    best = np.argpartition(scores, -limit)[-limit:] if limit < len(scores) else np.arange(len(scores))
    best = best[np.lexsort((best, -scores[best]))]
    return best[scores[best] > -np.inf]
