"""Which items are visited together with an item: its most frequent neighbours, in a fixed number of places.

The Space-Saving summary (Metwally, Agrawal and El Abbadi 2005): a neighbour that has no place takes the one with the
lowest count and goes on from it. Counts are at most as much too high as the lowest one.
"""

from __future__ import annotations

import numpy as np

from shared.domain.users.user_fold import rounds

PLACES = 8
"""Neighbours kept of an item: fields neighbour_key (PLACES,) uint64 and neighbour_count (PLACES,) uint32."""


def count_neighbours(records: np.ndarray, rows: np.ndarray, neighbours: np.ndarray) -> None:
    """Count neighbour keys (n,) uint64 for the items in `rows` (n,) of `records`, in the order given."""
    for chosen in rounds(rows):
        _count_round(records, rows[chosen], neighbours[chosen])


def _count_round(records: np.ndarray, rows: np.ndarray, neighbours: np.ndarray) -> None:
    """The same for distinct rows."""
    keys, counts = records["neighbour_key"], records["neighbour_count"]
    held = (keys[rows] == neighbours[:, None]) & (counts[rows] > 0)
    place = np.where(held.any(axis=1), held.argmax(axis=1), counts[rows].argmin(axis=1))
    keys[rows, place] = neighbours
    counts[rows, place] += 1


def merged_neighbours(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbour keys (m,) uint64 and counts (m,) int64 over `records` (n,), the most frequent first, ties by key."""
    held = records["neighbour_count"] > 0
    keys, at = np.unique(records["neighbour_key"][held], return_inverse=True)
    counts = np.bincount(at, weights=records["neighbour_count"][held], minlength=len(keys)).astype(np.int64)
    order = np.lexsort((keys, -counts))
    return keys[order], counts[order]
