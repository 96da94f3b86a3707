"""The fold of one partition of the log: users, item counters, and the position they reflect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from shared.domain.event import Event
from shared.domain.item_counters import ItemCounters
from shared.domain.preset import DomainPreset
from shared.domain.user_state import UserStates

FOLD_VERSION = "1"
"""Grows whenever the same events would give other bytes: stored state of another version is folded anew."""


class PartitionState:
    """State of one partition, with the keys that changed since the last checkpoint."""

    def __init__(self, preset: DomainPreset, history_length: int) -> None:
        self.users = UserStates(preset, history_length)
        self.items = ItemCounters(preset)
        self.position = 0
        self.changed_users: set[int] = set()
        self.changed_items: set[int] = set()


def apply(state: PartitionState, event: Event) -> bool:
    """Fold one event into `state`. False when it had no effect: it was applied before, or stands behind the state.

    Pure in all but place: no clock, no randomness, no I/O; the same events in the same order give the same bytes.
    """
    if event.position <= state.position:
        return False
    state.position = event.position
    if not state.users.apply(event):
        return False
    state.items.apply(event)
    state.changed_users.add(event.user_key)
    state.changed_items.update(item.item_key for item in event.items)
    return True


def fold(state: PartitionState, events: Iterable[Event]) -> PartitionState:
    """Apply `events` in order and return `state`."""
    for event in events:
        apply(state, event)
    return state


def digest(states: Iterable[PartitionState]) -> str:
    """sha256 over users and item counters in key order: equal states have equal digests, however they lie in memory.

    Partitions count in the order given; positions do not count, since some of the log has no effect.
    """
    hasher = hashlib.sha256()
    for state in states:
        for user_key in sorted(state.users.keys()):
            hasher.update(user_key.to_bytes(8, "little"))
            for part in state.users.export(user_key):
                hasher.update(part)
        for item_key in sorted(state.items.keys()):
            hasher.update(item_key.to_bytes(8, "little") + state.items.export(item_key))
    return hasher.hexdigest()
