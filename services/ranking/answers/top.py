"""Choosing the best items of score tables. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GROUP = 32
"""Most items of which only the best counts when the threshold is sought."""
_GROUPS_FOR_EACH = 4
_LOWEST = np.finfo(np.float32).min


def top_rows(scores: np.ndarray, limits: Sequence[int]) -> list[np.ndarray]:
    """For each user the places of the `limits` highest of `scores` (B, V) float32, best first, without those that are
    -inf. Equal scores come in the order of their places, so that the answer is the same everywhere.

    Decision: nothing is sorted but what is at least as good as a threshold that all of the best reach. To partition
    100,000 scores took half of a call's time.
    """
    limit = min(max(limits, default=0), scores.shape[1])
    if limit == 0:
        return [np.empty(0, np.int64) for _ in limits]
    good = scores >= _threshold(scores, limit)[:, None]
    user, place = np.divmod(np.flatnonzero(good), scores.shape[1])
    order = np.lexsort((-scores[user, place], user))
    starts = np.searchsorted(user, np.arange(len(limits) + 1)).tolist()
    place = place[order]
    return [
        place[start : min(start + most, end)]
        for start, end, most in zip(starts, starts[1:], limits, strict=False)
    ]


def _threshold(scores: np.ndarray, limit: int) -> np.ndarray:
    """Scores (B,) that at least `limit` of each user's reach, or all that are not -inf.

    Of groups of items it takes the `limit` best ones: there are as many items that score so much.
    """
    group = max(1, min(_GROUP, scores.shape[1] // (_GROUPS_FOR_EACH * limit)))
    groups = scores.shape[1] // group
    best = scores[:, : group * groups].reshape(len(scores), group, groups).max(axis=1)
    reached: np.ndarray = np.partition(best, groups - limit, axis=1)[:, groups - limit]
    return np.maximum(reached, _LOWEST)
