"""A stretch of the log as columns: the form in which the fold takes events, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from shared.domain.events.event import Event

_EVENT_COLUMNS = {
    "position": np.int64,
    "event_key": np.uint64,
    "user_key": np.uint64,
    "event_type": np.uint8,
    "time_ms": np.int64,
    "session_key": np.uint64,
    "corrected_type": np.uint8,
    "corrected_time_ms": np.int64,
}
_ITEM_COLUMNS = {"item_key": np.uint64, "value": np.float32}


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """E events in log order, with R items among them.

    Columns (E,): position int64, event_key uint64, user_key uint64, event_type uint8, time_ms int64, session_key uint64
    (0 for none), corrected_type uint8 and corrected_time_ms int64 (of a reversal, else 0). The items of event e are
    the rows item_start[e] to item_start[e + 1] of item_key (R,) uint64 and value (R,) float32; item_start is (E + 1,)
    int64. See `Event` for what each means.
    """

    position: np.ndarray
    event_key: np.ndarray
    user_key: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    session_key: np.ndarray
    corrected_type: np.ndarray
    corrected_time_ms: np.ndarray
    item_start: np.ndarray
    item_key: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.position)

    @staticmethod
    def of(events: Sequence[Event]) -> EventBatch:
        """The columns of `events`, which are in log order."""
        columns = {
            name: np.array([getattr(event, name) for event in events], dtype)
            for name, dtype in _EVENT_COLUMNS.items()
        }
        items = [item for event in events for item in event.items]
        columns |= {
            name: np.array([getattr(item, name) for item in items], dtype)
            for name, dtype in _ITEM_COLUMNS.items()
        }
        return EventBatch(**columns, item_start=starts([len(event.items) for event in events]))

    def take(self, chosen: np.ndarray) -> EventBatch:
        """The events that the mask `chosen` (E,) bool names, with their items."""
        if chosen.all():
            return self
        items = np.repeat(chosen, self.item_counts)
        columns = {name: getattr(self, name)[chosen] for name in _EVENT_COLUMNS}
        columns |= {name: getattr(self, name)[items] for name in _ITEM_COLUMNS}
        return EventBatch(**columns, item_start=starts(self.item_counts[chosen]))

    @property
    def item_counts(self) -> np.ndarray:
        """How many items each event has (E,) int64."""
        return self.item_start[1:] - self.item_start[:-1]


def starts(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where each of several runs of `counts` (n,) rows begins, and where the last one ends: (n + 1,) int64."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


assert {field.name for field in fields(EventBatch)} == {*_EVENT_COLUMNS, *_ITEM_COLUMNS, "item_start"}
