"""From users' states to their vectors. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.ranking.features.user_state import UserState
from services.ranking.model.scorer import Scorer, aligned


class Encoded(NamedTuple):
    """vectors (B, D) float32 of users, and what of their histories the model knows: rows (B, T) int64 of its table,
    UNKNOWN on the left, and event_type (B, T) int64."""

    vectors: np.ndarray
    rows: np.ndarray
    event_type: np.ndarray


def encoded(states: Sequence[UserState], rows: np.ndarray, scorer: Scorer) -> Encoded:
    """The users' vectors. rows: as `history_rows` gives them."""
    width = rows.shape[1]  # that of all who are asked for, of whom these may be some
    event_type = _padded([state.event_type for state in states], width).astype(np.int64)
    rows, event_type, age_seconds = aligned(rows, event_type, ages_of(states, width))
    return Encoded(scorer.user_vectors(rows, event_type, age_seconds), rows, event_type)


def history_rows(states: Sequence[UserState], scorer: Scorer) -> np.ndarray:
    """Rows (B, T) int64 of the model's table that histories are about, UNKNOWN for others and on the left."""
    return scorer.rows(_padded([state.item_key for state in states]))


def ages_of(states: Sequence[UserState], width: int = 0) -> np.ndarray:
    """Ages (B, T) float64 of events, in seconds, up to each user's newest event, not to now: encoders read differences
    only, and the float32 they take blurs those of great ages. width: T, where it is more than that of the widest."""
    time_ms = _padded([state.time_ms for state in states], width)
    return (time_ms.max(axis=1, keepdims=True, initial=0) - time_ms) / 1000.0


def _padded(columns: Sequence[np.ndarray], width: int = 0) -> np.ndarray:
    """Columns (T_i,) as one array (B, T), filled with zeros on the left. width: T, where it is more than that of the
    widest."""
    width = max([width, *map(len, columns)])
    if all(len(column) == width for column in columns):
        return np.stack(columns)
    return np.stack([np.pad(column, (width - len(column), 0)) for column in columns])
