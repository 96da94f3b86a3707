"""Leaves out of a stretch of the log what later events of it take back, so that nothing is learned from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from shared.domain.event import CORRECTS, Event, EventType
from shared.domain.event_columns import EventColumns


class Correction(NamedTuple):
    """At `position`, the user's newest earlier event of that type about that item is taken back; with time_ms, the one
    that happened then."""

    position: int
    user_key: int
    item_key: int
    event_type: int
    time_ms: int | None = None


def corrections_of(event: Event) -> list[Correction]:
    """What an event takes back; nothing unless it is of a correcting type."""
    if event.event_type == EventType.REVERSAL:
        corrected, time_ms = event.corrected_type, event.corrected_time_ms
    elif event.event_type in CORRECTS:
        corrected, time_ms = CORRECTS[event.event_type], None
    else:
        return []
    place = (event.position, event.user_key)
    return [Correction(*place, item.item_key, corrected, time_ms) for item in event.items]


def without_taken_back(columns: EventColumns, corrections: Iterable[Correction]) -> EventColumns:
    """The rows of `columns` that no correction takes back. A correction of nothing does nothing, and none takes back
    what another has taken back already."""
    corrections = sorted(corrections, key=lambda each: each.position)
    if not corrections:
        return columns
    candidates = _candidates(columns, {each.user_key for each in corrections})
    kept = np.ones(len(columns), bool)
    for correction in corrections:
        rows = candidates[correction.user_key, correction.item_key, correction.event_type]
        fitting = [row for row in rows if kept[row] and _fits(columns, row, correction)]
        if fitting:
            kept[fitting[-1]] = False
    return columns.take(kept)


def _candidates(columns: EventColumns, user_keys: set[int]) -> dict[tuple[int, int, int], list[int]]:
    """Rows of these users in log order, by user, item and event type."""
    rows: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    users = np.fromiter(user_keys, np.uint64, len(user_keys))
    for row in np.flatnonzero(np.isin(columns.user_key, users)).tolist():
        user, item, kind = columns.user_key[row], columns.item_key[row], columns.event_type[row]
        rows[int(user), int(item), int(kind)].append(row)
    return rows


def _fits(columns: EventColumns, row: int, correction: Correction) -> bool:
    earlier = int(columns.position[row]) < correction.position
    return earlier and correction.time_ms in (None, int(columns.time_ms[row]))
