"""Folds the log anew, from its first message, with the code that the feature service folds with."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import numpy as np
from nats.aio.client import Client

from services.console.local_run import local_nats_url
from services.console.log.log_connection import log_connection
from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.jetstream.erasures import ErasureStep, list_erasures
from shared.adapters.jetstream.log_range import read_range
from shared.adapters.jetstream.log_reader import LogMessage
from shared.adapters.jetstream.streams import Names, last_position
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State, fold

F = TypeVar("F", bound=Callable[..., Any])
FOLD_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Log:
    """A connection to the log of a namespace."""

    connection: Client
    names: Names

    async def events(self, to_position: int) -> AsyncIterator[list[LogMessage]]:
        """The events up to a position, in batches."""
        subjects = [self.names.event_subject("*", "*")]
        async for messages in read_range(self.connection, self.names, subjects, to_position):
            for start in range(0, len(messages), FOLD_AT_ONCE):
                yield messages[start : start + FOLD_AT_ONCE]

    async def erasures(self) -> list[ErasureStep]:
        """The steps of all erasures."""
        last = await last_position(self.connection, self.names)
        return await list_erasures(self.connection, self.names, last)

    async def being_erased(self, before: Sequence[ErasureStep]) -> set[int]:
        """Keys of the users of whom something may have left the log since `erasures` gave `before`, or will: what is
        served knows nothing of it from the request on."""
        complete = {each.receipt.receipt_id for each in before if each.complete}
        receipts = [each.receipt for each in await self.erasures()]
        return {each.user_key for each in receipts if each.receipt_id not in complete}


def log_options(command: F) -> F:
    """The options that say where the log is."""
    namespace = click.option(
        "--namespace", envvar="FRESHET_NAMESPACE", default="", help="Namespace of the deployment."
    )
    url = click.option(
        "--nats-url",
        envvar="FRESHET_NATS_URL",
        default=local_nats_url,
        help="Where NATS is; by default on this machine, at FRESHET_NATS_PORT or 4222.",
    )
    return url(namespace(command))


@asynccontextmanager
async def open_log(nats_url: str, namespace: str) -> AsyncIterator[Log]:
    """The log of a namespace. Raises CommandFailed when it is away, also while the context lasts."""
    async with log_connection(nats_url) as connection:
        yield Log(connection, Names(namespace))


async def fold_log(log: Log, state: State, limits: Mapping[int, int], told: Callable[[int], None]) -> State:
    """Fold each partition up to its position in `limits`; told: the position that was reached, now and then."""
    async for messages in log.events(max(limits.values())):
        batch = decoded(messages)
        fold(state, state.not_folded(_within(state, batch, limits)))
        told(messages[-1].position)
    return state


def decoded(messages: Sequence[LogMessage]) -> EventBatch:
    """The events in messages; what is none is left out, as it is by the feature service."""
    return decode_batch([(message.position, message.payload) for message in messages]).batch


def _within(state: State, batch: EventBatch, limits: Mapping[int, int]) -> EventBatch:
    """The events of partitions in `limits`, up to their positions."""
    limit = np.array([limits.get(partition, 0) for partition in range(state.settings.partitions)])
    return batch.take(batch.position <= limit[state.partition_of(batch.user_key)])
