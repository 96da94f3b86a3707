"""What ranking knows of one user."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class UserState(NamedTuple):
    """One user. item_key (T,) uint64 and event_type (T,) uint8 with zeros on the left; time_ms (T,) int64;
    consumed (n,) uint64; position: of the log, that this reflects. stale: the feature service could not tell."""

    item_key: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    consumed: np.ndarray
    position: int
    stale: bool = False


UNKNOWN_USER = UserState(
    np.zeros(1, np.uint64), np.zeros(1, np.uint8), np.zeros(1, np.int64), np.empty(0, np.uint64), 0, True
)
