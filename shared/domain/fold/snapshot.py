"""What changed in a state since the last checkpoint, copied out of it, so that folding can go on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shared.domain.fold.state import State


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


def give_back(state: State, snapshot: Snapshot) -> None:
    """A snapshot could not be stored: what it holds is in the next one, as it is by then."""
    state.users.mark_changed(snapshot.records["user_key"])
    state.items.mark_changed(snapshot.items)
    state.erased |= snapshot.erased
    state.emptied |= snapshot.emptied
