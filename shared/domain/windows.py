"""Counts in tumbling windows, exact and in whole numbers: the order of events does not matter, partial counts of
several partitions merge, and what was counted can be taken out again.

Of each window the newest bucket and the one before it are kept. What a sliding window would hold is read as the newest
bucket plus that share of the one before which still lies inside (as rate limiters do).
"""

from __future__ import annotations

import numpy as np

WINDOWS = {"1m": 60, "1h": 3_600, "1d": 86_400, "7d": 7 * 86_400, "28d": 28 * 86_400}
"""Window lengths in seconds, by name."""
_LENGTH_MS = np.array(list(WINDOWS.values()), np.int64) * 1000


def windowed(kinds: int, count: str = "<i4") -> np.dtype:
    """The record of `kinds` counts in W windows: bucket (W,) int32, count (W, kinds, 2) [newest, before]."""
    width = len(WINDOWS)
    return np.dtype([("bucket", "<i4", (width,)), ("count", count, (width, kinds, 2))])


def count_in_windows(records: np.ndarray, rows: np.ndarray, time_ms: np.ndarray, counts: np.ndarray) -> None:
    """Add `counts` (n, kinds) int32, of events at `time_ms` (n,) int64, to `records` (rows (n,), may repeat).
    What is older than a window's two buckets is left out of it."""
    touched, at = np.unique(rows, return_inverse=True)
    bucket = (time_ms[:, None] // _LENGTH_MS).astype(np.int32)
    newest = records["bucket"][touched]
    np.maximum.at(newest, at, bucket)
    held = _moved(records[touched], newest)
    for age in (0, 1):
        event, window = np.nonzero(bucket == newest[at] - age)
        np.add.at(held["count"][..., age], (at[event], window), counts[event])
    records[touched] = held


def _moved(records: np.ndarray, newest: np.ndarray) -> np.ndarray:
    """Records (n,) brought to newer buckets (n, W), as a copy."""
    moved = records.copy()
    shift = (newest - records["bucket"])[..., None]
    count = records["count"]
    moved["bucket"] = newest
    moved["count"][..., 0] = np.where(shift == 0, count[..., 0], 0)
    moved["count"][..., 1] = np.where(shift == 0, count[..., 1], np.where(shift == 1, count[..., 0], 0))
    return moved


def merged(records: np.ndarray) -> np.ndarray:
    """One record, its counts int64, from the partial counts of `records` (n,), n at least 1."""
    records = records.astype(windowed(records["count"].shape[-2], "<i8"))
    newest = np.broadcast_to(records["bucket"].max(axis=0), records["bucket"].shape)
    aligned = _moved(records, newest)
    one = aligned[0].copy()
    one["count"] = aligned["count"].sum(axis=0)
    return one


def sliding(records: np.ndarray, time_ms: int) -> np.ndarray:
    """Counts (n, W, kinds) float64 in the windows that end at `time_ms`, of records (n,)."""
    bucket = time_ms // _LENGTH_MS
    left = 1.0 - (time_ms % _LENGTH_MS) / _LENGTH_MS
    age = (bucket - records["bucket"])[..., None]
    newest, before = records["count"][..., 0], records["count"][..., 1]
    share = left[:, None]
    return np.where(age <= 0, newest + before * share, np.where(age == 1, newest * share, 0.0))
