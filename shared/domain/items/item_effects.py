"""What a folded batch does to items: plain rows to add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.domain.events.event_batch import EventBatch
from shared.domain.users.user_fold import UsersFolded

UNKNOWN_TIME_MS = 0
"""Of what was taken back when its time is not known: it lies before every window."""


class ItemEffects(NamedTuple):
    """Counts, as columns (n,): partition uint32, item_key uint64, event_type uint8, time_ms int64, sign int32 (1, or
    -1 for what is taken back). Neighbours in one visit, as columns (m,): followed_partition uint32, followed_key
    uint64, next_key uint64, in log order."""

    partition: np.ndarray
    item_key: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    sign: np.ndarray
    followed_partition: np.ndarray
    followed_key: np.ndarray
    next_key: np.ndarray


def item_effects(batch: EventBatch, folded: UsersFolded, partitions: np.uint64) -> ItemEffects:
    """The effects of the events that took effect on their users."""
    partition = (batch.user_key % partitions).astype(np.uint32)
    event = np.repeat(np.arange(len(batch)), batch.item_counts)
    counts = folded.applied[event]
    event = event[counts]
    counted = (partition[event], batch.item_key[counts], batch.event_type[event], batch.time_ms[event])
    followed = folded.followed
    neighbours = (partition[followed.event], followed.item_key, followed.next_key)
    return ItemEffects(*[*_with_taken_back(counted, folded, partition), *neighbours])


def _with_taken_back(
    counted: tuple[np.ndarray, ...], folded: UsersFolded, partition: np.ndarray
) -> list[np.ndarray]:
    """The columns of what is counted, what is taken back behind them, and the signs."""
    taken = folded.taken_back
    signs = np.repeat(np.array([1, -1], np.int32), [len(counted[0]), len(taken)])
    if not taken:
        return [*counted, signs]
    back = (
        partition[[each.event for each in taken]],
        [each.item_key for each in taken],
        [each.event_type for each in taken],
        [UNKNOWN_TIME_MS if each.time_ms is None else each.time_ms for each in taken],
    )
    both = zip(counted, back, strict=True)
    return [*(np.concatenate([one, np.array(other, one.dtype)]) for one, other in both), signs]


def joined(effects: Sequence[ItemEffects]) -> ItemEffects:
    """The effects of several batches, in log order."""
    return ItemEffects(*[np.concatenate(columns) for columns in zip(*effects, strict=True)])
