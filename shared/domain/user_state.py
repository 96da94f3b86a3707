"""State of users: one fixed-size record each, in numpy arrays, so that millions fit in memory.

The record holds the newest events about items (a ring), counts by event type, and the keys of the newest events, by
which a second delivery of the same event is known. Consumed items that have left the ring are kept beside it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared.domain.event import EVENT_TYPE_CODES, Event, ItemReference
from shared.domain.preset import DomainPreset

RECENT_EVENTS = 32
"""How many event keys a user's record remembers."""
_CHUNK_BITS = 12
_CHUNK_USERS = 1 << _CHUNK_BITS

HISTORY_ENTRY = np.dtype([("item_key", "<u8"), ("time_ms", "<i8"), ("value", "<f4"), ("event_type", "u1")])
"""One event about one item: 21 bytes."""


def user_record(history_length: int) -> np.dtype:
    """The record of one user with room for `history_length` history entries."""
    return np.dtype(
        [
            ("history", HISTORY_ENTRY, (history_length,)),
            ("recent_event_key", "<u8", (RECENT_EVENTS,)),
            ("event_count", "<u4", (EVENT_TYPE_CODES,)),
            ("history_count", "<u4"),
            ("total_count", "<u4"),
        ]
    )


class UserView(NamedTuple):
    """A copy of one user's state.

    history (n,) HISTORY_ENTRY, oldest first; event_count (22,) uint32 by event type code; consumed (m,) uint64.
    """

    history: np.ndarray
    event_count: np.ndarray
    consumed: np.ndarray


class UserStates:
    """The users of one partition. Changed by `apply` alone; reading copies."""

    def __init__(self, preset: DomainPreset, history_length: int) -> None:
        self.preset = preset
        self.history_length = history_length
        self._record = user_record(history_length)
        self._slots: dict[int, int] = {}
        self._chunks: list[np.ndarray] = []
        self._departed: dict[int, array[int]] = {}
        self._in_history = preset.in_history.tolist()
        self._consumes = preset.consumes.tolist()

    def __len__(self) -> int:
        return len(self._slots)

    def keys(self) -> Iterator[int]:
        """Keys of all users, in the order of their first event."""
        return iter(self._slots)

    def apply(self, event: Event) -> bool:
        """Fold one event. False, and nothing changed, when it was applied before."""
        chunk, row = self._row(event.user_key)
        recent = chunk["recent_event_key"][row]
        total = int(chunk["total_count"][row])
        if (recent == event.event_key).any():
            return False
        recent[total % RECENT_EVENTS] = event.event_key
        chunk["total_count"][row] = total + 1
        chunk["event_count"][row, event.event_type] += 1
        if self._in_history[event.event_type]:
            self._remember(chunk, row, event)
        return True

    def _remember(self, chunk: np.ndarray, row: int, event: Event) -> None:
        history = chunk["history"][row]
        written = int(chunk["history_count"][row])
        for item in event.items:
            place = written % self.history_length
            if written >= self.history_length:
                self._depart(event.user_key, history[place])
            history[place] = _entry(event, item)
            written += 1
        chunk["history_count"][row] = written

    def _depart(self, user_key: int, entry: np.void) -> None:
        """Keep a consumed item that leaves the ring."""
        if not self._consumes[entry["event_type"]]:
            return
        departed = self._departed.setdefault(user_key, array("Q"))
        if (item_key := int(entry["item_key"])) not in departed:
            departed.append(item_key)

    def read(self, user_key: int) -> UserView | None:
        """A copy of one user's state; None for a user never seen."""
        slot = self._slots.get(user_key)
        if slot is None:
            return None
        record = self._chunks[slot >> _CHUNK_BITS][slot & (_CHUNK_USERS - 1)]
        history = self._ordered(record)
        return UserView(history, record["event_count"].copy(), self._consumed(user_key, history))

    def _ordered(self, record: np.void) -> np.ndarray:
        """History entries (n,), oldest first, as a copy."""
        written = int(record["history_count"])
        if written <= self.history_length:
            return record["history"][:written].copy()
        return np.roll(record["history"], -(written % self.history_length))

    def _consumed(self, user_key: int, history: np.ndarray) -> np.ndarray:
        held = history["item_key"][self.preset.consumes[history["event_type"]]]
        return np.unique(np.concatenate([held, self.departed(user_key)]))

    def departed(self, user_key: int) -> np.ndarray:
        """Consumed items that have left the ring, (m,) uint64, in the order they left."""
        return np.array(self._departed.get(user_key, ()), dtype=np.uint64)

    def export(self, user_key: int) -> tuple[bytes, bytes]:
        """The user's record and departed consumed items, as stored bytes."""
        chunk, row = self._row(user_key)
        return chunk[row].tobytes(), self.departed(user_key).tobytes()

    def restore(self, user_key: int, record: bytes, departed: bytes) -> None:
        """Put back what `export` gave. Raises ValueError when it was made for another history length."""
        if len(record) != self._record.itemsize:
            raise ValueError(
                f"stored record has {len(record)} bytes, this history length needs {self._record.itemsize}"
            )
        chunk, row = self._row(user_key)
        chunk[row] = np.frombuffer(record, self._record)[0]
        if departed:
            self._departed[user_key] = array("Q", np.frombuffer(departed, np.uint64).tolist())

    def _row(self, user_key: int) -> tuple[np.ndarray, int]:
        slot = self._slots.get(user_key)
        if slot is None:
            slot = self._slots[user_key] = len(self._slots)
            if slot >> _CHUNK_BITS == len(self._chunks):
                self._chunks.append(np.zeros(_CHUNK_USERS, self._record))
        return self._chunks[slot >> _CHUNK_BITS], slot & (_CHUNK_USERS - 1)


def _entry(event: Event, item: ItemReference) -> tuple[int, int, float, int]:
    return (item.item_key, event.time_ms, item.value, event.event_type)
