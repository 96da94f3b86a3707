"""How far traffic has moved away from what a model learned from. Pure.

Measured by the population stability index over shares of classes (Siddiqi 2006, Credit Risk Scorecards, ch. 6): 0 for
equal shares; below 0.1 is taken for no change, above 0.2 for one that matters. It is the sum of both Kullback-Leibler
divergences of the two distributions (Yurdakul & Naranjo 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.domain.events.event import EVENT_TYPE_CODES

MATTERS = 0.2
FLOOR = 1e-3
"""Decision: the least share of a class. Without one, the first event of a class that was empty makes the index
infinite; with this one, so much traffic about new items matters on its own: one event in 16."""
POPULARITY_CLASSES = 10
LONG = 50
LENGTH_EDGES = np.array([1, 2, 5, 10, 20, LONG])
"""Histories of 0, 1, 2 to 4, 5 to 9, 10 to 19, 20 to 49 and at least 50 events."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """A stretch of N events about items.

    Attributes:
        item_key: ``(N,) uint64``.
        event_type: ``(N,) int64``, codes.
        history_length: ``(M,) int64``, events in the user's history before each, at least for a sample of the users.
    """

    item_key: np.ndarray
    event_type: np.ndarray
    history_length: np.ndarray

    def __len__(self) -> int:
        return len(self.item_key)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far newer traffic differs from what was learned.

    Attributes:
        items: stability index of how popular the items are that events are about, new items a class of their own.
        event_types: of the types.
        history_lengths: of how much is known of the users, each counted as often as it is active.
        new_share: share of the events that are about items that the model has no row for, in [0, 1].
    """

    items: float
    event_types: float
    history_lengths: float
    new_share: float

    @property
    def psi(self) -> float:
        """What says that a model is out of date: the larger index of items and types.

        Decision: not that of history lengths. Histories grow by themselves while nobody's behaviour changes.
        """
        return max(self.items, self.event_types)


def stability_index(expected: np.ndarray, actual: np.ndarray) -> float:
    """The population stability index of counts by class, ``(C,)`` each: sum of (a - e) ln(a / e) over the shares.

    At least 0, and the same both ways. Raises ValueError if there is nothing on a side.
    """
    if not expected.sum() or not actual.sum():
        raise ValueError("there is no share of nothing: both sides need a count above 0")
    e, a = (np.maximum(counts / counts.sum(), FLOOR) for counts in (expected, actual))
    return float(((a - e) * np.log(a / e)).sum())


def drift_of(learned: Traffic, newer: Traffic, table_keys: np.ndarray) -> Drift:
    """How far `newer` differs from `learned`. Raises ValueError if one of them is empty.

    Args:
        table_keys: ``(V,) uint64``, sorted ascending: the items that the model has rows for.
    """
    ranks = popularity_classes(learned.item_key, table_keys)
    items = [
        _counts(_classes_of(each.item_key, table_keys, ranks), POPULARITY_CLASSES + 1)
        for each in (learned, newer)
    ]
    types = [_counts(each.event_type, EVENT_TYPE_CODES) for each in (learned, newer)]
    lengths = [
        _counts(np.searchsorted(LENGTH_EDGES, each.history_length, side="right"), len(LENGTH_EDGES) + 1)
        for each in (learned, newer)
    ]
    share = float(items[1][POPULARITY_CLASSES] / len(newer)) if len(newer) else 0.0
    return Drift(stability_index(*items), stability_index(*types), stability_index(*lengths), share)


def popularity_classes(item_key: np.ndarray, table_keys: np.ndarray) -> np.ndarray:
    """The class of each item of the table, ``(V,) int64`` from 0: the most popular items that make up a tenth of the
    events `item_key` (N,) are class 0, and so on; what no event is about belongs to the last class.

    Decision: classes of about equal shares of the events, as is usual for the index, not of equally many items.
    """
    row, known = _rows(item_key, table_keys)
    counts = np.bincount(row[known], minlength=len(table_keys))
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    classes = np.empty(len(table_keys), np.int64)
    total = max(int(counts.sum()), 1)
    classes[order] = np.minimum(before * POPULARITY_CLASSES // total, POPULARITY_CLASSES - 1)
    return classes


def lengths_before(user_key: np.ndarray, earlier: Mapping[int, int]) -> np.ndarray:
    """How many events each user's history held before each event of a stretch, ``(N,) int64``.

    Args:
        user_key: ``(N,) uint64``, who acted, in log order.
        earlier: events in each user's history before the stretch, by user key; 0 for who is left out.
    """
    users, user, counts = np.unique(user_key, return_inverse=True, return_counts=True)
    held = np.array([earlier.get(key, 0) for key in users.tolist()], np.int64)
    order = np.argsort(user, kind="stable")
    place = np.empty(len(user), np.int64)
    place[order] = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    return held[user] + place


def _classes_of(item_key: np.ndarray, table_keys: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """``(N,) int64``: the items' classes, POPULARITY_CLASSES for what has no row."""
    row, known = _rows(item_key, table_keys)
    return np.where(known, classes[row], POPULARITY_CLASSES)


def _rows(item_key: np.ndarray, table_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each item's row in the table ``(N,) int64``, and whether it has one ``(N,) bool``."""
    row = np.minimum(np.searchsorted(table_keys, item_key), len(table_keys) - 1)
    return row, table_keys[row] == item_key


def _counts(classes: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(classes, minlength=count).astype(np.float64)
