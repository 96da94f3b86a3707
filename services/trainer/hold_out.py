"""Test-then-learn: which events judge a candidate before it learns them.

Decision: one cut. A candidate learns what is before it; it and the champion are judged on what is behind
it. The cut lies at the newest share of the log, or where the champion's learning ended if that is later: so
both are judged on traffic later than the training of both. The candidate may have learned what came after
the champion's end: kept from that, the two would know the same events, and the comparison could not tell what
the newer events are worth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.trainer.model.evaluation import CaseOptions, HoldOut, make_cases
from shared.domain.event_columns import EventColumns

LARGEST_SHARE = 0.2
"""How far the share grows while it holds too few users for a verdict."""


class HoldOutRule(NamedTuple):
    """share: newest share of the rows, in (0, 1). most_rows: its cap. min_users: users a verdict needs.

    later_than: position of the log up to which the champion has learned; 0 without one.
    """

    share: float
    most_rows: int
    min_users: int
    later_than: int = 0


def hold_out(columns: EventColumns, rule: HoldOutRule, options: CaseOptions) -> HoldOut:
    """What to learn first, what judges, and the questions; the share is doubled while these are of too few
    users."""
    share = rule.share
    while True:
        start = _first_held_row(columns.position, share, rule)
        before, later = columns.take(slice(0, start)), columns.take(slice(start, None))
        cases = make_cases(before, later, options)
        if len(cases) >= rule.min_users or share >= LARGEST_SHARE:
            return HoldOut(before, later, cases)
        share = min(2.0 * share, LARGEST_SHARE)


def _first_held_row(position: np.ndarray, share: float, rule: HoldOutRule) -> int:
    """The rows of one event stay together."""
    start = len(position) - min(int(len(position) * share), rule.most_rows)
    if start < len(position):
        start = int(np.searchsorted(position, position[start], side="left"))
    return max(start, int(np.searchsorted(position, rule.later_than, side="right")))
