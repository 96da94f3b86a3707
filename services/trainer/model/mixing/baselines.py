"""What a model must beat: rankings that do not look at the user."""

from __future__ import annotations

import numpy as np

from services.trainer.model.answering.scoring import Histories
from services.trainer.model.sequences import EventRoles, has_type
from shared.domain.events.event_columns import EventColumns


class Popularity:
    """The same scores for everyone."""

    def __init__(self, item_keys: np.ndarray, scores: np.ndarray) -> None:
        self._item_keys, self._scores = item_keys, scores.astype(np.float32)

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``; a read-only view of one row."""
        return np.broadcast_to(self._scores, (len(histories), len(self._scores)))


def most_popular(columns: EventColumns, roles: EventRoles | None = None) -> Popularity:
    """Score = number of target events of the item."""
    return _weighted(columns, np.ones(len(columns)), roles or EventRoles())


def recently_popular(
    columns: EventColumns, half_life_seconds: float = 7 * 86_400.0, roles: EventRoles | None = None
) -> Popularity:
    """Score = sum over the item's target events of 2^(-age / half-life), age up to the newest event of all.

    Args:
        columns: events in log order.
        half_life_seconds: after which an event counts half, > 0.
        roles: which events count.

    Raises:
        ValueError: half_life_seconds <= 0.
    """
    if half_life_seconds <= 0:
        raise ValueError(f"half_life_seconds must be above 0, got {half_life_seconds}")
    newest = columns.time_ms.max(initial=0)
    weights = np.exp2((columns.time_ms - newest) / (1000.0 * half_life_seconds))
    return _weighted(columns, weights, roles or EventRoles())


def _weighted(columns: EventColumns, weights: np.ndarray, roles: EventRoles) -> Popularity:
    item_keys, item = np.unique(columns.item_key, return_inverse=True)
    counted = weights * has_type(columns.event_type, roles.target)
    return Popularity(item_keys, np.bincount(item, counted, minlength=len(item_keys)))
