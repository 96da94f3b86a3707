"""State of users in arrays, so that millions fit in memory; some may be elsewhere and come back on demand.

One row of `user_record` each. Consumed items that have left a user's history are kept beside it. Users that were let
go are known by key, with the digest of what was stored of them, so that a digest of all needs nobody brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shared.domain.digest import entry_digest
from shared.domain.key_index import KeyIndex
from shared.domain.presets.preset import DomainPreset
from shared.domain.users.away_users import AwayUsers
from shared.domain.users.departed import Departed
from shared.domain.users.user_record import HISTORY_ENTRY, UserView, history_of, user_record

_FIRST_ROWS = 64
_GROWTH = 1.5


class UserStates:
    """The users of the partitions of one instance. `user_fold` alone changes them; reading copies."""

    def __init__(self, preset: DomainPreset, history_length: int) -> None:
        self.preset = preset
        self.history_length = history_length
        self._index = KeyIndex()
        self._free: list[int] = []
        self._rows = 0
        self.departed: dict[int, Departed] = {}
        self.away = AwayUsers()
        self.clock = 0
        self.records = np.zeros(0, user_record(history_length))
        self.changed, self.used = np.zeros(0, bool), np.zeros(0, np.uint64)
        self._allocate(_FIRST_ROWS, 0)

    def __len__(self) -> int:
        """Users in memory."""
        return len(self._index)

    def _allocate(self, rows: int, kept: int) -> None:
        """Arrays of `rows` rows; what lies in the first `kept` rows stays."""
        records = np.zeros(rows, user_record(self.history_length))
        changed, used = np.zeros(rows, bool), np.zeros(rows, np.uint64)
        if kept:
            records[:kept], changed[:kept] = self.records[:kept], self.changed[:kept]
            used[:kept] = self.used[:kept]
        self.records, self.changed, self.used = records, changed, used
        self.column = {name: records[name] for name in records.dtype.names or ()}

    def rows_of(self, user_keys: np.ndarray) -> np.ndarray:
        """Rows (n,) int32 of keys (n,) uint64; -1 for users not in memory. Marks them as used."""
        rows = self._index.find(user_keys)
        self.used[rows[rows >= 0]] = self.clock
        return rows

    def enter(self, user_keys: np.ndarray) -> np.ndarray:
        """Rows (n,) int32 of keys (n,) uint64, with an empty record for each that is new.

        Raises KeyError for a user that is away: bring them back first.
        """
        rows = self.rows_of(user_keys)
        if (rows < 0).any():
            new = np.unique(user_keys[rows < 0])
            if self.away.among(new).any():
                raise KeyError("a user of the batch is away")
            self._add(new)
            rows = self.rows_of(user_keys)
        return rows

    def _add(self, user_keys: np.ndarray) -> np.ndarray:
        rows = self._new_rows(len(user_keys))
        self._index.add(user_keys, rows)
        self.column["user_key"][rows] = user_keys
        self.used[rows] = self.clock
        return rows

    def _new_rows(self, count: int) -> np.ndarray:
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        first = self._rows
        self._rows += count - len(reused)
        if self._rows > len(self.records):
            self._allocate(max(self._rows, int(len(self.records) * _GROWTH)), first)
        return np.array([*reused, *range(first, self._rows)], np.int32)

    def read(self, user_key: int) -> UserView | None:
        """A copy of one user's state; None for a user never seen, or away."""
        row = self._index.find_one(user_key)
        if row < 0:
            return None
        record = self.records[row]
        self.used[row] = self.clock
        history = history_of(record)
        consumed = np.concatenate([self._held_consumed(history), self.departed_of(user_key)])
        times = [int(record[name]) for name in ("first_time_ms", "last_time_ms", "session_start_ms")]
        counts = [int(record[name]) for name in ("session_event_count", "session_entries")]
        return UserView(history, record["event_count"].copy(), np.unique(consumed), *times, *counts)

    def _held_consumed(self, history: np.ndarray) -> np.ndarray:
        return history["item_key"][self.preset.consumes[history["event_type"]]]

    def histories(self, rows: np.ndarray) -> np.ndarray:
        """Histories (n, T) HISTORY_ENTRY of rows (n,), the newest entry last, zeros on the left and for row -1."""
        width = self.history_length
        if not len(self.records) or not len(rows):
            return np.zeros((len(rows), width), HISTORY_ENTRY)
        places = (self.column["history_end"][rows].astype(np.int64)[:, None] + np.arange(width)) % width
        held = np.where(rows >= 0, self.column["history_held"][rows], 0)
        shown = np.arange(width) >= width - held[:, None]
        histories = np.zeros((len(rows), width), HISTORY_ENTRY)
        for name in HISTORY_ENTRY.names or ():
            histories[name] = np.where(shown, self.column[name][rows[:, None], places], 0)
        return histories

    def departed_of(self, user_key: int) -> np.ndarray:
        """Consumed items that have left the history, (m,) uint64, in the order they left."""
        departed = self.departed.get(user_key)
        return np.zeros(0, np.uint64) if departed is None else departed.item_keys

    def stored_departed_of(self, user_key: int) -> bytes:
        """The same as it is stored, with the event types; empty where there are none."""
        departed = self.departed.get(user_key)
        return b"" if departed is None else departed.stored

    def keys(self) -> np.ndarray:
        """Keys (n,) uint64 of the users in memory, ascending."""
        return np.sort(self._index.entries()[0])

    def records_where(self, belongs: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Copies (n,) of the records in memory for which `belongs` (keys (n,) uint64 -> (n,) bool) says yes."""
        keys, rows = self._index.entries()
        return self.records[rows[belongs(keys)]]

    def changed_rows(self) -> np.ndarray:
        """Rows (n,) of users that changed since the last call."""
        rows = np.flatnonzero(self.changed[: self._rows])
        self.changed[rows] = False
        return rows

    def mark_changed(self, user_keys: np.ndarray) -> None:
        """Those of keys (n,) uint64 that are in memory count as changed."""
        rows = self._index.find(user_keys)
        self.changed[rows[rows >= 0]] = True

    def export(self, user_key: int) -> tuple[bytes, bytes]:
        """The user's record and departed consumed items, as stored bytes. Raises KeyError when not in memory."""
        row = self._index.find_one(user_key)
        if row < 0:
            raise KeyError(user_key)
        return self.records[row].tobytes(), self.stored_departed_of(user_key)

    def restore(self, user_key: int, record: bytes, departed: bytes) -> None:
        """Put back what `export` gave. Raises ValueError when it was made for another history length."""
        self.restore_all([user_key], [record], [departed])

    def put(self, user_key: int, record: bytes, departed: bytes) -> None:
        """Like `restore`, for what is not stored yet."""
        self.restore(user_key, record, departed)
        self.changed[self._index.find_one(user_key)] = True

    def restore_all(
        self, user_keys: Sequence[int], records: Sequence[bytes], departed: Sequence[bytes]
    ) -> None:
        """Put back many distinct users at once."""
        needed = self.records.itemsize
        if wrong := next((len(record) for record in records if len(record) != needed), None):
            raise ValueError(f"stored record has {wrong} bytes, this history length needs {needed}")
        keys = np.array(user_keys, np.uint64)
        for key in keys[self.away.among(keys)].tolist():
            self.away.remove(key)
        rows = self.enter(keys)  # which may replace self.records by a longer one
        self.records[rows] = np.frombuffer(b"".join(records), self.records.dtype)
        for key, items in zip(user_keys, departed, strict=True):
            if items:
                self.departed[key] = Departed(items)

    def let_go(self, user_keys: np.ndarray) -> None:
        """Users (n,) uint64 in memory leave it for where they were saved. They must not have changed since."""
        self.away.add(user_keys, [entry_digest(key, *self.export(key)) for key in user_keys.tolist()])
        self._remove(user_keys)

    def least_used(self, count: int) -> np.ndarray:
        """Keys of up to `count` users that were not used for the longest time and have not changed since saved."""
        keys, rows = self._index.entries()
        clean = ~self.changed[rows]
        keys, rows = keys[clean], rows[clean]
        if len(keys) <= count:
            return keys
        return keys[np.argpartition(self.used[rows], count)[:count]]

    def unchanged(self, user_keys: np.ndarray) -> np.ndarray:
        """Those of keys (n,) uint64 that are in memory and have not changed since they were saved."""
        rows = self._index.find(user_keys)
        there = user_keys[rows >= 0]
        return there[~self.changed[rows[rows >= 0]]]

    def erase(self, user_key: int) -> bool:
        """Forget a user, in memory or away. False when there was none."""
        was_away = self.away.remove(user_key)
        if self._index.find_one(user_key) < 0:
            return was_away
        self._remove(np.array([user_key], np.uint64))
        return True

    def drop(self, belongs: Callable[[np.ndarray], np.ndarray]) -> None:
        """Forget the users for which `belongs` (keys (n,) uint64 -> (n,) bool) says yes."""
        keys = self.keys()
        self._remove(keys[belongs(keys)])
        away = self.away.keys()
        for key in away[belongs(away)].tolist():
            self.away.remove(key)

    def _remove(self, user_keys: np.ndarray) -> None:
        rows = self._index.find(user_keys)
        self._index.remove(user_keys)
        self.records[rows] = np.zeros((), self.records.dtype)
        self.changed[rows] = False
        self._free.extend(rows.tolist())
        for key in user_keys.tolist():
            self.departed.pop(key, None)
