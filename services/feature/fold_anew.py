"""Folds a partition of the log from its beginning, beside the live state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client

from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.jetstream.log_range import read_range
from shared.adapters.jetstream.streams import Names
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State, fold

FOLD_AT_ONCE = 512
"""Messages folded before other work of the process has its turn."""


def _all(batch: EventBatch) -> EventBatch:
    return batch


async def fold_anew(
    connection: Client,
    names: Names,
    state: State,
    to_position: int,
    wanted: Callable[[EventBatch], EventBatch] = _all,
) -> None:
    """Fold the log up to a position into an empty state of one partition; of each batch only what is wanted.

    Raises what nats-py raises while NATS is away, and StreamError.
    """
    [partition] = state.positions
    subjects = [names.event_subject(partition, "*")]
    async for messages in read_range(connection, names, subjects, to_position):
        for start in range(0, len(messages), FOLD_AT_ONCE):
            some = [(each.position, each.payload) for each in messages[start : start + FOLD_AT_ONCE]]
            fold(state, state.not_folded(wanted(decode_batch(some).batch)))
            await asyncio.sleep(0)
