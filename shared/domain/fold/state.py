"""The fold of the log: users, item counters, and the position that each partition reflects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shared.domain.events.event import Event
from shared.domain.events.event_batch import EventBatch
from shared.domain.items.item_counters import ItemCounters
from shared.domain.presets.preset import DomainPreset
from shared.domain.users.user_fold import fold_users
from shared.domain.users.user_state import UserStates

FOLD_VERSION = "6"
"""Grows whenever the same events would give other bytes, or what the version before has stored may be wrong: stored
state of another version is folded anew."""


class FoldSettings(NamedTuple):
    """What decides the result of a fold beside the events."""

    preset: DomainPreset
    history_length: int = 50
    partitions: int = 16

    @property
    def name(self) -> str:
        """Names the fold: state made under another name is of no use."""
        return f"{FOLD_VERSION} {self.preset.name} {self.history_length} {self.partitions}"


class State:
    """State of some partitions. positions: the log position up to which each one is folded. erased: users, and
    emptied: partitions of items, that a store has to forget at the next checkpoint. to_refold: partitions whose items
    still count somebody who was erased, and the position at which the newest such erasure ended."""

    def __init__(self, settings: FoldSettings, owned: Iterable[int] | None = None) -> None:
        self.settings = settings
        self.users = UserStates(settings.preset, settings.history_length)
        self.items = ItemCounters(settings.preset, settings.partitions)
        self.positions = dict.fromkeys(range(settings.partitions) if owned is None else owned, 0)
        self.erased: set[int] = set()
        self.emptied: set[int] = set()
        self.to_refold: dict[int, int] = {}

    def partition_of(self, user_keys: np.ndarray) -> np.ndarray:
        """Partitions (n,) of user keys (n,) uint64."""
        return (user_keys % np.uint64(self.settings.partitions)).astype(np.int64)

    def not_folded(self, batch: EventBatch) -> EventBatch:
        """The events of `batch` that belong to owned partitions and stand behind their positions."""
        floor = np.full(self.settings.partitions, np.iinfo(np.int64).max)
        for partition, position in self.positions.items():
            floor[partition] = position
        return batch.take(batch.position > floor[self.partition_of(batch.user_key)])

    def erase(self, user_key: int) -> None:
        """Forget a user. What items count of them stays until `take_items`."""
        self.users.erase(user_key)
        self.erased.add(user_key)

    def begin_anew(self, partitions: Collection[int]) -> None:
        """Forget all that is known of some partitions; they begin at position 0."""
        some = list(partitions)
        self.users.drop(lambda user_keys: np.isin(self.partition_of(user_keys), some))
        self.items.drop(lambda of_rows: np.isin(of_rows, some))
        for partition in some:
            self.positions[partition] = 0
            self.to_refold.pop(partition, None)

    def take_items(self, partition: int, other: State) -> None:
        """Take the item counters of a partition from another state that has folded the same log up to the same
        position, after something was erased from the log."""
        self.items.drop(lambda partitions: partitions == partition)
        records = other.items.records
        self.items.put(records[records["partition"] == partition])
        self.emptied.add(partition)


def fold(state: State, batch: EventBatch) -> np.ndarray:
    """Fold a batch; which of the events had an effect on their users, (E,) bool: the others were applied before.

    All events must be `state.not_folded`, and their users not away. Pure in all but place: no clock, no randomness, no
    I/O. The same events in the same order give the same bytes, however they are cut into batches.
    """
    if not len(batch):
        return np.zeros(0, bool)
    folded = fold_users(state.users, batch)
    state.items.fold(batch, folded)
    newest = np.zeros(state.settings.partitions, np.int64)
    np.maximum.at(newest, state.partition_of(batch.user_key), batch.position)
    for partition in np.flatnonzero(newest).tolist():
        state.positions[partition] = int(newest[partition])
    return folded.applied


def fold_events(state: State, events: Sequence[Event]) -> State:
    """Fold events, the ones already folded left out, and return `state`."""
    fold(state, state.not_folded(EventBatch.of(events)))
    return state
