"""Leaves out of a stretch of the log what later events of it take back, so that nothing is learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shared.domain.events.event import CORRECTS, Event, EventType
from shared.domain.events.event_columns import EventColumns


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
    what another has taken back already. However often one user corrects one item, it takes time by the number of rows
    and corrections."""
    corrections = sorted(corrections, key=lambda each: each.position)
    if not corrections:
        return columns
    earlier = _Earlier(columns, corrections)
    kept = np.ones(len(columns), bool)
    for correction in corrections:
        _take_back(earlier.fitting(correction), kept)
    return columns.take(kept)


def _take_back(rows: list[int], kept: np.ndarray) -> None:
    """The last of these rows that is still kept, if there is one; it and those behind it leave `rows`."""
    while rows:
        row = rows.pop()
        if kept[row]:
            kept[row] = False
            return


_Named = tuple[int, int, int, int | None]
"""What a correction names: user, item, event type, and time or None."""


class _Earlier:
    """Rows before a position that only goes on, by what corrections name.

    A row is laid on two stacks at most, that of all times and that of its own. Taken back from one, it stays on the
    other until it comes up there and is passed over: so each row is met twice, whatever the number of corrections.
    """

    def __init__(self, columns: EventColumns, corrections: Sequence[Correction]) -> None:
        self._columns = columns
        self._stacks: dict[_Named, list[int]] = {each[1:]: [] for each in corrections}
        concerned = _among(columns.user_key, {each.user_key for each in corrections})
        concerned &= _among(columns.item_key, {each.item_key for each in corrections})
        self._rows = np.flatnonzero(concerned)
        self._ends = columns.position[self._rows]
        self._reached = 0

    def fitting(self, correction: Correction) -> list[int]:
        """The rows that the correction may take back, the newest last; the caller removes what has been. Corrections
        must come by position."""
        end = int(np.searchsorted(self._ends, correction.position))
        for row in self._rows[self._reached : end].tolist():
            self._lay(row)
        self._reached = end
        return self._stacks[correction[1:]]

    def _lay(self, row: int) -> None:
        of = self._columns
        subject = int(of.user_key[row]), int(of.item_key[row]), int(of.event_type[row])
        for time_ms in (None, int(of.time_ms[row])):
            if (stack := self._stacks.get((*subject, time_ms))) is not None:
                stack.append(row)


def _among(keys: np.ndarray, wanted: set[int]) -> np.ndarray:
    """Where keys (N,) uint64 are one of those: (N,) bool."""
    return np.isin(keys, np.fromiter(wanted, np.uint64, len(wanted)))
