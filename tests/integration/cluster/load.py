"""A steady load of batches, and what became of each record."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client

from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.log_writer import Appended, LogWriter, Record
from shared.adapters.jetstream.streams import Names

BATCH = 100
PAUSE_SECONDS = 0.02
RETRY_SECONDS = 0.2
_numbers = itertools.count(1)
Write = Callable[[list[str]], Awaitable[dict[str, int]]]
"""Writes records of these ids in order; where those lie that were acknowledged."""


@dataclass
class Load:
    """Writers that send a batch again until all of it is acknowledged.

    calls: the ids of each batch; positions: by id, as first acknowledged; times: when batches were acknowledged.
    """

    calls: list[list[str]] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    stopping: bool = False

    async def write(self, write: Write) -> None:
        """One batch after the other until told to stop."""
        while not self.stopping:
            ids = [f"id-{next(_numbers)}" for _ in range(BATCH)]
            self.calls.append(ids)
            while len(acknowledged := await write(ids)) < len(ids):
                self._note(acknowledged)
                await asyncio.sleep(RETRY_SECONDS)
            self._note(acknowledged)
            self.times.append(time.monotonic())
            await asyncio.sleep(PAUSE_SECONDS)

    def _note(self, acknowledged: dict[str, int]) -> None:
        """An id that was acknowledged before keeps its position: another one would be found missing in the log."""
        self.positions = acknowledged | self.positions

    def through_log(self, writer: LogWriter, names: Names) -> Write:
        """Writing straight into the log."""

        async def write(ids: list[str]) -> dict[str, int]:
            records = [
                Record(names.event_subject(at % 16, "click"), each, b"") for at, each in enumerate(ids)
            ]
            answers = zip(ids, await writer.append(records), strict=True)
            return {each: answer.position for each, answer in answers if isinstance(answer, Appended)}

        return write

    def is_in_order(self, ids: list[str]) -> bool:
        """Whether these ids lie in the log in this order."""
        positions = [self.positions[each] for each in ids]
        return positions == sorted(positions)

    def longest_pause(self) -> float:
        """The longest time, in seconds, without an acknowledgement."""
        return max(later - earlier for earlier, later in itertools.pairwise(self.times))


@asynccontextmanager
async def at_work(*workers: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Workers that run meanwhile."""
    tasks = [asyncio.create_task(worker()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def reading(connection: Client, names: Names) -> AsyncIterator[list[LogMessage]]:
    """A reader of all events; the list grows by what it hands out."""
    seen: list[LogMessage] = []
    source = LogSource(names.events, [names.subject("events.v1.*.*")])

    async def read() -> None:
        async for batch in LogReader(connection, source).batches():
            seen.extend(batch)

    async with at_work(read):
        yield seen
