"""Counters of items: how often each event type happened, in all and with exponential time decay.

Decayed counts follow forward decay (Cormode, Shkapenyuk, Srivastava and Xu 2009): each event counts
2^-((t - t_event) / half_life) as of time t, so that sums from several partitions can be added once brought to one time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shared.domain.event import EVENT_TYPE_CODES, Event
from shared.domain.preset import DomainPreset

ITEM_RECORD = np.dtype(
    [
        ("event_count", "<u4", (EVENT_TYPE_CODES,)),
        ("decayed_count", "<f8", (EVENT_TYPE_CODES,)),
        ("time_ms", "<i8"),
    ]
)
"""One item: counts (22,) by event type code; decayed counts (22,) as of `time_ms`, the newest event time."""


class ItemCounters:
    """Partial sums over the events of one partition."""

    def __init__(self, preset: DomainPreset) -> None:
        self._half_life_ms = preset.half_life_ms
        self._half_life_of = preset.half_life_ms.tolist()
        self._slots: dict[int, int] = {}
        self._records = np.zeros(256, ITEM_RECORD)

    def __len__(self) -> int:
        return len(self._slots)

    def keys(self) -> Iterator[int]:
        """Keys of all items, in the order of their first event."""
        return iter(self._slots)

    def apply(self, event: Event) -> None:
        """Count one event for each of its items."""
        for item in event.items:
            slot = self._slot(item.item_key, event.time_ms)
            self._records["event_count"][slot, event.event_type] += 1
            self._decay_and_add(slot, event)

    def _decay_and_add(self, slot: int, event: Event) -> None:
        record = self._records
        elapsed_ms = event.time_ms - int(record["time_ms"][slot])
        if elapsed_ms > 0:
            record["decayed_count"][slot] *= np.exp2(-elapsed_ms / self._half_life_ms)
            record["time_ms"][slot] = event.time_ms
            elapsed_ms = 0
        late = 2.0 ** (elapsed_ms / self._half_life_of[event.event_type])
        record["decayed_count"][slot, event.event_type] += late

    def _slot(self, item_key: int, time_ms: int) -> int:
        slot = self._slots.get(item_key)
        if slot is None:
            slot = self._slots[item_key] = len(self._slots)
            if slot == len(self._records):
                self._records = np.concatenate([self._records, np.zeros(slot, ITEM_RECORD)])
            self._records["time_ms"][slot] = time_ms
        return slot

    def read(self, item_key: int) -> np.void | None:
        """The item's ITEM_RECORD as a copy; None when no event named it."""
        slot = self._slots.get(item_key)
        return None if slot is None else self._records[slot].copy()

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys (n,) uint64 and records (n,) ITEM_RECORD of all items, not copied."""
        keys = np.fromiter(self._slots, np.uint64, len(self._slots))
        return keys, self._records[: len(self._slots)]

    def export(self, item_key: int) -> bytes:
        """The item's record as stored bytes. Raises KeyError for an item never seen."""
        return self._records[self._slots[item_key]].tobytes()

    def restore(self, item_key: int, record: bytes) -> None:
        """Put back what `export` gave."""
        restored = np.frombuffer(record, ITEM_RECORD)[0]
        slot = self._slot(item_key, int(restored["time_ms"]))  # may replace self._records by a longer one
        self._records[slot] = restored


def merge_item(records: Sequence[np.void], preset: DomainPreset) -> np.ndarray:
    """One ITEM_RECORD from the partial sums of several partitions, as of the newest of their times."""
    merged = np.zeros((), ITEM_RECORD)
    merged["time_ms"] = max((int(record["time_ms"]) for record in records), default=0)
    for record in records:
        merged["event_count"] += record["event_count"]
        age_ms = int(merged["time_ms"]) - int(record["time_ms"])
        merged["decayed_count"] += record["decayed_count"] * np.exp2(-age_ms / preset.half_life_ms)
    return merged


def trending(
    counters: Sequence[ItemCounters], preset: DomainPreset, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keys (n,) uint64 and scores (n,) float32 of the items with the highest weighted decayed counts, above 0.

    All scores are as of the newest event time; ties go to the smaller key, so that the order is the same everywhere.
    """
    tables = [table for table in (part.table() for part in counters) if len(table[0])]
    if not tables:
        return np.empty(0, np.uint64), np.empty(0, np.float32)
    keys = np.concatenate([table[0] for table in tables])
    records = np.concatenate([table[1] for table in tables])
    age_ms = records["time_ms"].max() - records["time_ms"]
    counted = (preset.weight != 0) & records["decayed_count"].any(
        axis=0
    )  # a few of the types: the rest adds 0
    decayed = records["decayed_count"][:, counted] * np.exp2(-age_ms[:, None] / preset.half_life_ms[counted])
    items, inverse = np.unique(keys, return_inverse=True)
    scores = np.bincount(inverse, weights=decayed @ preset.weight[counted], minlength=len(items))
    order = np.lexsort((items, -scores))[:limit]
    order = order[scores[order] > 0]
    return items[order], scores[order].astype(np.float32)
