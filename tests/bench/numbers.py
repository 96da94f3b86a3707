"""Percentiles, and how numbers are written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(values: Sequence[float] | np.ndarray, share: float) -> float:
    """The value that `share` of 100 of `values` do not exceed."""
    return float(np.percentile(np.asarray(values), share))


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return float(np.median(values))


def milliseconds(seconds: float) -> str:
    """Seconds as text in milliseconds."""
    return f"{seconds * 1e3:.2f} ms"


def p50_and_p99(seconds: Sequence[float] | np.ndarray) -> str:
    """Both percentiles of durations as text."""
    return f"p50 {milliseconds(percentile(seconds, 50))}, p99 {milliseconds(percentile(seconds, 99))}"
