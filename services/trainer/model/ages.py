"""How old the events of a history are, as encoders read it: in training, in judging and in serving alike."""

from __future__ import annotations

import numpy as np


def ages(time_ms: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Seconds from each event to the newest one of its row ``(B, T) float32``, 0 under the mask.

    Decision: not to the last event of the log, which may have come late, nor to now: encoders read differences only,
    and float32 blurs those of great ages.

    Args:
        time_ms: ``(B, T) int64``, not necessarily ascending.
        mask: ``(B, T) bool``, True where an event stands.
    """
    never = np.iinfo(np.int64).min
    newest = np.where(mask, time_ms, never).max(axis=1, keepdims=True, initial=never)
    seconds: np.ndarray = np.where(mask, newest - time_ms, 0) / 1000.0
    return seconds.astype(np.float32)
