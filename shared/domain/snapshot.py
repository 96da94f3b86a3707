"""What changed in a state since the last checkpoint, copied out of it, so that folding can go on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shared.domain.state import State


@dataclass
class Snapshot:
    """Changed users and items as of `position`. records (n,) user records; departed: by user key, of those users that
    have some; items (m,) ITEM_RECORD; erased: keys of users whose stored rows go, emptied: partitions whose
    stored items go, before the others are stored; to_refold: as in `State`."""

    position: int
    records: np.ndarray
    departed: dict[int, bytes]
    items: np.ndarray
    erased: set[int] = field(default_factory=set)
    emptied: set[int] = field(default_factory=set)
    to_refold: dict[int, int] = field(default_factory=dict)

    def joined(self, newer: Snapshot) -> Snapshot:
        """Both, the newer where both have one: what to store when this one could not be."""
        older = ~np.isin(self.records["user_key"], list(newer.erased))
        records = np.concatenate([self.records[older], newer.records])
        departed = {key: items for key, items in self.departed.items() if key not in newer.erased}
        older = ~np.isin(self.items["partition"], list(newer.emptied))
        items = np.concatenate([self.items[older], newer.items])
        places = items["item_key"] ^ (items["partition"].astype(np.uint64) << np.uint64(48))
        return Snapshot(
            newer.position,
            records[_last(records["user_key"])],
            departed | newer.departed,
            items[_last(places)],
            self.erased | newer.erased,
            self.emptied | newer.emptied,
            newer.to_refold,
        )


def _last(keys: np.ndarray) -> np.ndarray:
    """Where each distinct key (n,) stands last, ascending."""
    _, at = np.unique(keys[::-1], return_index=True)
    return np.sort(len(keys) - 1 - at)


def take_snapshot(state: State, position: int) -> Snapshot:
    """Copy what changed since the last call, and forget that it changed."""
    users = state.users
    rows = users.changed_rows()
    records = users.records[rows]
    departed = {
        key: users.stored_departed_of(key) for key in records["user_key"].tolist() if key in users.departed
    }
    items, to_refold = state.items.changed_rows(), state.to_refold.copy()
    snapshot = Snapshot(position, records, departed, items, state.erased, state.emptied, to_refold)
    state.erased, state.emptied = set(), set()
    return snapshot
