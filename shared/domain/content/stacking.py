"""How two forecasts of the same are put together. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SAME = 1e-9
"""Forecasts that differ by less than this share are one."""


class Stack(NamedTuple):
    """Weights, 0 or more, of two forecasts."""

    first: float
    second: float


def stacked(wanted: np.ndarray, first: np.ndarray, second: np.ndarray) -> Stack:
    """The weights with which the sum of two forecasts comes closest to what was wanted, in squared distance.

    All three are of one shape, and centred: 0 says nothing. The forecasts must be of what they have not seen. One that
    the other makes superfluous gets 0, and so does one that misleads (stacked regressions, Breiman 1996; that weights
    must not be negative is what makes them do well).
    """
    own = float((first * first).sum()), float((second * second).sum())
    hit = float((first * wanted).sum()), float((second * wanted).sum())
    shared = float((first * second).sum())
    rest = own[0] * own[1] - shared**2
    if rest > SAME * own[0] * own[1]:
        both = Stack((hit[0] * own[1] - hit[1] * shared) / rest, (hit[1] * own[0] - hit[0] * shared) / rest)
        if min(both) >= 0.0:
            return both
    alone = [max(hits, 0.0) / squares if squares else 0.0 for hits, squares in zip(hit, own, strict=True)]
    # What is gained by one alone is its weight times its hits.
    if alone[0] * hit[0] >= alone[1] * hit[1]:
        return Stack(alone[0], 0.0)
    return Stack(0.0, alone[1])
