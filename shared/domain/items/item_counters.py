"""Counters of items: how often each event type happened, in all and in windows, and what is visited together.

One row for each item and partition, a partial sum over that partition's events; whoever reads merges the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from shared.domain.events.event import EVENT_TYPE_CODES
from shared.domain.events.event_batch import EventBatch
from shared.domain.items.co_visits import PLACES, count_neighbours, merged_neighbours
from shared.domain.items.item_behaviours import KINDS, SIGNAL, SIGNAL_UNITS, contributions
from shared.domain.items.item_effects import ItemEffects, item_effects, joined
from shared.domain.key_index import KeyIndex
from shared.domain.presets.preset import DomainPreset
from shared.domain.users.user_fold import UsersFolded
from shared.domain.windows import WINDOWS, count_in_windows, merged, sliding, windowed


def _item_record(count: str) -> np.dtype:
    return np.dtype(
        [
            ("item_key", "<u8"),
            ("first_time_ms", "<i8"),
            ("time_ms", "<i8"),
            ("neighbour_key", "<u8", (PLACES,)),
            ("neighbour_count", "<u4", (PLACES,)),
            ("event_count", count, (EVENT_TYPE_CODES,)),
            ("windows", windowed(len(KINDS), count)),
            ("partition", "<u4"),
        ],
        align=True,
    )


ITEM_RECORD = _item_record("<i4")
"""One item in one partition. event_count (24,) by event type code, what was taken back subtracted; first_time_ms and
time_ms: oldest and newest event time; windows: see `windowed`, kinds in the order of KINDS."""
ITEM_SUM = _item_record("<i8")
"""The same over all partitions, where 32 bits do not hold 28 days of an item that 9 people a second click."""

_NEVER = np.iinfo(np.int64).max
"""First event time of an item of which nothing has happened."""
_SCRAMBLE = np.uint64(0xD6E8_FEB8_6659_FD93)
SETTLE_EVENTS = 1024
"""So many events may be noted and not yet counted."""
_TREND_DAYS = {"1d": 1.0, "7d": 7.0, "28d": 28.0}
_ALL_TIME = 1e-6


class ItemCounters:
    """The items of the partitions of one instance.

    Decision: what a batch does to items is noted, and counted for many batches at once, at the latest when somebody
    reads. Counts are sums, and neighbours are counted in log order, so this changes no byte; and an event that comes
    alone does not pay for array operations that a thousand events can share.
    """

    def __init__(self, preset: DomainPreset, partitions: int) -> None:
        self._partitions = np.uint64(partitions)
        self._contributions = contributions(preset)
        self._noted: list[ItemEffects] = []
        self._noted_count = 0
        self._forget_all()

    def _forget_all(self) -> None:
        self._index, self._rows = KeyIndex(), 0
        self._records, self._changed = np.zeros(256, ITEM_RECORD), np.zeros(256, bool)

    def __len__(self) -> int:
        """Rows: items times partitions that saw them."""
        return len(self.records)

    @property
    def records(self) -> np.ndarray:
        """All rows (n,) ITEM_RECORD, not copied."""
        self._settle()
        return self._records[: self._rows]

    def fold(self, batch: EventBatch, folded: UsersFolded) -> None:
        """Count the events of a batch that took effect on their users, and take back what they took back."""
        self._noted.append(item_effects(batch, folded, self._partitions))
        self._noted_count += len(batch)
        if self._noted_count >= SETTLE_EVENTS:
            self._settle()

    def _settle(self) -> None:
        if not self._noted:
            return
        noted, self._noted, self._noted_count = joined(self._noted), [], 0
        if len(noted.item_key):
            self._count(noted)
        if len(noted.followed_key):
            self._follow(noted)

    def _count(self, noted: ItemEffects) -> None:
        rows = self._enter(noted.partition, noted.item_key)
        np.add.at(self._records["event_count"], (rows, noted.event_type), noted.sign)
        happened = noted.sign > 0
        np.minimum.at(self._records["first_time_ms"], rows[happened], noted.time_ms[happened])
        np.maximum.at(self._records["time_ms"], rows[happened], noted.time_ms[happened])
        counts = self._contributions[noted.event_type] * noted.sign[:, None]
        count_in_windows(self._records["windows"], rows, noted.time_ms, counts)
        self._changed[rows] = True

    def _follow(self, noted: ItemEffects) -> None:
        partition, item_key, next_key = noted.followed_partition, noted.followed_key, noted.next_key
        rows = np.stack([self._enter(partition, item_key), self._enter(partition, next_key)], axis=1)
        neighbours = np.stack([next_key, item_key], axis=1)
        count_neighbours(self._records, rows.ravel(), neighbours.ravel())
        self._changed[rows.ravel()] = True

    def _enter(self, partition: np.ndarray, item_key: np.ndarray) -> np.ndarray:
        keys = _place_keys(partition, item_key)
        rows = self._index.find(keys)
        missing = rows < 0
        if missing.any():
            new, at = np.unique(keys[missing], return_index=True)
            self._add(new, partition[missing][at], item_key[missing][at])
            rows[missing] = self._index.find(keys[missing])
        return rows

    def _add(self, keys: np.ndarray, partition: np.ndarray, item_key: np.ndarray) -> np.ndarray:
        first, self._rows = self._rows, self._rows + len(keys)
        if self._rows > len(self._records):
            room = max(self._rows, len(self._records) // 2 * 3) - len(self._records)
            self._records = np.concatenate([self._records, np.zeros(room, ITEM_RECORD)])
            self._changed = np.concatenate([self._changed, np.zeros(room, bool)])
        rows = np.arange(first, self._rows, dtype=np.int32)
        self._index.add(keys, rows)
        self._records["item_key"][rows], self._records["partition"][rows] = item_key, partition
        self._records["first_time_ms"][rows] = _NEVER
        return rows

    def changed_rows(self) -> np.ndarray:
        """Copies (n,) ITEM_RECORD of the rows that changed since the last call."""
        self._settle()
        rows = np.flatnonzero(self._changed[: self._rows])
        self._changed[rows] = False
        return self._records[rows]

    def mark_changed(self, records: np.ndarray) -> None:
        """The rows of the same items and partitions as `records` (n,) ITEM_RECORD count as changed, where they are."""
        self._settle()
        rows = self._index.find(_place_keys(records["partition"], records["item_key"]))
        self._changed[rows[rows >= 0]] = True

    def restore(self, records: np.ndarray) -> None:
        """Put back rows (n,) ITEM_RECORD, of distinct items and partitions, in place of those that are there."""
        self._place(records)

    def put(self, records: np.ndarray) -> None:
        """Like `restore`, for rows that are not stored yet."""
        rows = self._place(records)  # which may replace self._changed by a longer one
        self._changed[rows] = True

    def _place(self, records: np.ndarray) -> np.ndarray:
        """Where the records (n,) are now, (n,) int32: new rows are given out by key, not in the order of `records`."""
        self._settle()
        rows = self._enter(records["partition"], records["item_key"])
        self._records[rows] = records
        return rows

    def drop(self, belongs: Callable[[np.ndarray], np.ndarray]) -> None:
        """Forget the rows for whose partitions `belongs` (partition (n,) -> (n,) bool) says yes."""
        stay = ~belongs(self.records["partition"])
        kept, changed = self._records[: self._rows][stay], self._changed[: self._rows][stay]
        self._forget_all()
        rows = self._place(kept)
        self._changed[rows] = changed

    def of_items(self, item_keys: Sequence[int]) -> np.ndarray:
        """The sum over this instance's partitions for each of n items, (n,) ITEM_SUM; zeros for one never seen."""
        return merge_items(self.rows_of(item_keys), item_keys)

    def rows_of(self, item_keys: Sequence[int]) -> np.ndarray:
        """Copies (m,) ITEM_RECORD of the rows of distinct items, one for each partition that saw the item."""
        self._settle()
        keys = np.unique(np.array(item_keys, np.uint64))
        partition = np.tile(np.arange(int(self._partitions), dtype=np.uint32), len(keys))
        rows = self._index.find(_place_keys(partition, np.repeat(keys, int(self._partitions))))
        return self._records[rows[rows >= 0]]


def _place_keys(partition: np.ndarray, item_key: np.ndarray) -> np.ndarray:
    """One key (n,) uint64 for each item and partition."""
    return item_key ^ (partition.astype(np.uint64) * _SCRAMBLE)


def empty_rows(count: int) -> np.ndarray:
    """Rows (count,) ITEM_SUM of items that nothing is known of."""
    return np.zeros(count, ITEM_SUM)


def merge_rows(rows: np.ndarray, item_key: int) -> np.ndarray:
    """One row (1,) ITEM_SUM from the partial sums (n,) of one item. Neighbours are those of all, the most
    frequent ones."""
    rows = rows[rows["first_time_ms"] != _NEVER]
    if len(rows) == 0:
        return empty_rows(1)
    one = rows[:1].astype(ITEM_SUM)
    one["item_key"], one["partition"] = item_key, 0
    if len(rows) > 1:
        one["event_count"] = rows["event_count"].sum(axis=0)
        one["first_time_ms"], one["time_ms"] = rows["first_time_ms"].min(), rows["time_ms"].max()
        one["windows"] = merged(rows["windows"])
        _merge_neighbours(one, rows)
    return one


def merge_items(rows: np.ndarray, item_keys: Sequence[int]) -> np.ndarray:
    """The sums (n,) ITEM_SUM of n items from the rows (m,) of all partitions that saw them."""
    if not item_keys:
        return empty_rows(0)
    return np.concatenate([merge_rows(rows[rows["item_key"] == key], key) for key in item_keys])


class Trend(NamedTuple):
    """Items (n,) uint64 and their scores (n,) float64 as of `time_ms`, the newest event time; the first one most."""

    item_keys: np.ndarray
    scores: np.ndarray
    time_ms: int


def trending(counters: ItemCounters, preset: DomainPreset, limit: int, time_ms: int = 0) -> Trend:
    """The items with the highest weighted events a day, averaged over a day, 7 and 28 days, above 0.

    As of `time_ms` or the newest event time, whichever is later. Ties go to the smaller key, so that the order is the
    same everywhere; events before all windows decide only between items that have nothing else.
    """
    records = counters.records
    if not len(records):
        return Trend(np.empty(0, np.uint64), np.empty(0), time_ms)
    as_of = max(time_ms, int(records["time_ms"].max()))
    scores = trend_scores(records, preset, as_of)
    items, inverse = np.unique(records["item_key"], return_inverse=True)
    summed = np.bincount(inverse, weights=scores, minlength=len(items))
    order = np.lexsort((items, -summed))[:limit]
    order = order[summed[order] > 0]
    return Trend(items[order], summed[order], as_of)


def trend_scores(records: np.ndarray, preset: DomainPreset, time_ms: int) -> np.ndarray:
    """Weighted events a day as of `time_ms` (n,) float64 of rows (n,) ITEM_RECORD or ITEM_SUM."""
    held = sliding(records["windows"], time_ms)[:, :, KINDS.index(SIGNAL)] / SIGNAL_UNITS
    names = list(WINDOWS)
    rates = sum(held[:, names.index(name)] / days for name, days in _TREND_DAYS.items())
    return rates / len(_TREND_DAYS) + _ALL_TIME * (records["event_count"] @ preset.weight)


def _merge_neighbours(one: np.ndarray, rows: np.ndarray) -> None:
    keys, counts = merged_neighbours(rows)
    one["neighbour_key"], one["neighbour_count"] = 0, 0
    one["neighbour_key"][0, : len(keys[:PLACES])] = keys[:PLACES]
    one["neighbour_count"][0, : len(keys[:PLACES])] = counts[:PLACES]
