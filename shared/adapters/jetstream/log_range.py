"""Reads a stretch of the log from a position to another, and then ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from nats.aio.client import Client

from shared.adapters.jetstream.log_reader import MAX_PENDING, LogMessage, LogReader, LogSource
from shared.adapters.jetstream.streams import Names, last_position_of, last_sequence_of

_IDLE_SECONDS = 2.0


async def read_range(
    connection: Client, names: Names, subjects: Sequence[str], to_position: int, start: int = 1
) -> AsyncIterator[list[LogMessage]]:
    """Batches of the messages on `subjects` from `start` to `to_position`, both included; deleted ones are not there.

    Ends also when what was the last message has been deleted meanwhile.
    """
    reader = LogReader(connection, LogSource(names.events, subjects, start=start))
    async for batch in _read(reader, to_position, lambda: _last(connection, names, subjects)):
        yield batch


async def read_stream(
    connection: Client, stream: str, subject: str, newest: bool = False, max_pending: int = MAX_PENDING
) -> AsyncIterator[list[LogMessage]]:
    """Batches of what a stream holds now on `subject`, which may hold wildcards; newest: of each subject only the last
    message; max_pending: how many are asked for at once. All of it, however long the server is silent; ends also when
    the last of it has been deleted meanwhile.

    Raises StreamError, and what nats-py raises while NATS is away.
    """
    reader = LogReader(connection, LogSource(stream, [subject], 1, newest, max_pending))
    to_position = await last_sequence_of(connection, stream, subject)
    async for batch in _read(reader, to_position, lambda: last_sequence_of(connection, stream, subject)):
        yield batch


async def _read(
    reader: LogReader, to_position: int, last: Callable[[], Awaitable[int]]
) -> AsyncIterator[list[LogMessage]]:
    """Batches up to `to_position`, or to what is the last message by then; after a silence that is asked anew."""
    while reader.position < (end := min(to_position, await last())):
        async with aclosing(reader.batches()) as batches:
            async for batch in _while_busy(batches):
                if within := [message for message in batch if message.position <= to_position]:
                    yield within
                if reader.position >= end:
                    return


async def _while_busy(batches: AsyncIterator[list[LogMessage]]) -> AsyncIterator[list[LogMessage]]:
    """The batches, until none comes for a while."""
    while True:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                batch = await anext(batches)
        except (TimeoutError, StopAsyncIteration):
            return
        yield batch


async def _last(connection: Client, names: Names, subjects: Sequence[str]) -> int:
    return max([await last_position_of(connection, names, subject) for subject in subjects])
