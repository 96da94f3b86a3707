"""The erasures in the log: who is erased, up to which position, and whether that is done.

A fold of the messages on `erasures.v1.*`, which hold keys and numbers only and are never deleted themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import NamedTuple

import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.scanning import Stretch, scan
from shared.adapters.jetstream.streams import Names

_log = structlog.get_logger("erasures")
_ALL = "erasures.v1.*"


class ErasureStep(NamedTuple):
    """One message of an erasure: the request for it, or its completion. position: the message's own."""

    position: int
    receipt: ErasureReceipt

    @property
    def complete(self) -> bool:
        """Whether this tells that everything is gone."""
        return self.receipt.HasField("complete_time")


async def follow_erasures(
    connection: Client, names: Names, start: int = 1
) -> AsyncIterator[list[ErasureStep]]:
    """Steps of all erasures in log order from position `start` on, at least one at a time, without end."""
    source = LogSource(names.events, [names.subject(_ALL)], start=start, again=start == 1)
    async for batch in LogReader(connection, source).batches():
        if steps := [step for message in batch if (step := decode_step(message)) is not None]:
            yield steps


async def list_erasures(connection: Client, names: Names, last: int) -> list[ErasureStep]:
    """Steps of all erasures up to position `last`, in log order."""
    steps: list[ErasureStep] = []
    async for batch in scan(connection, Stretch(names.events, names.subject(_ALL), last)):
        for each in batch:
            step = decode_step(LogMessage(each.sequence, each.subject, each.payload, 0))
            steps += [step] if step is not None else []
    return steps


def decode_step(message: LogMessage) -> ErasureStep | None:
    """The step in a message; None, and a line in the log, when there is none."""
    try:
        receipt = Erasure.FromString(message.payload).receipt
    except DecodeError as error:
        _log.error("erasure cannot be read", position=message.position, reason=str(error))
        return None
    if not receipt.HasField("complete_time"):
        receipt.position = message.position
    return ErasureStep(message.position, receipt)


class Erasures:
    """How all erasures stand. `follow` must be running. on_step: told of each step, the known ones too."""

    def __init__(self, on_step: Callable[[ErasureStep], None] = lambda _: None) -> None:
        self.position = 0
        self._on_step = on_step
        self._steps: dict[str, ErasureStep] = {}
        self._newest: dict[int, str] = {}
        self._moved = asyncio.Condition()

    async def follow(self, connection: Client, names: Names) -> None:
        """Keep up with the log until cancelled."""
        async for steps in follow_erasures(connection, names):
            for step in steps:
                self.apply(step)
            async with self._moved:
                self._moved.notify_all()

    def apply(self, step: ErasureStep) -> None:
        """Take in one step. A second completion of the same erasure changes nothing."""
        self.position = step.position
        receipt_id = step.receipt.receipt_id
        known = self._steps.get(receipt_id)
        if known is None or not known.complete:
            self._steps[receipt_id] = step
        if known is None:
            self._newest[step.receipt.user_key] = receipt_id
        self._on_step(step)

    def newest_of(self, key: int) -> ErasureStep | None:
        """How the newest erasure of a user stands; None when there was none."""
        receipt_id = self._newest.get(key)
        return self._steps[receipt_id] if receipt_id is not None else None

    def covers(self, key: int, position: int) -> bool:
        """Whether an event of a user at `position` of the log is gone, or about to go."""
        newest = self.newest_of(key)
        return newest is not None and position <= newest.receipt.position

    def step_of(self, receipt_id: str) -> ErasureStep | None:
        """How an erasure stands; None when there is none of that id."""
        return self._steps.get(receipt_id)

    def pending(self) -> list[ErasureStep]:
        """Requests that are not completed, the oldest first."""
        return [step for step in self._steps.values() if not step.complete]

    async def reach(self, position: int) -> None:
        """Wait until everything up to `position` is taken in."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.position >= position)

    async def completed(self, receipt_id: str) -> None:
        """Wait until an erasure that was asked for is completed."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._steps[receipt_id].complete)

    async def wait_pending(self, known: Collection[str]) -> None:
        """Wait until an erasure is asked for that is none of the `known` receipt ids."""
        async with self._moved:
            await self._moved.wait_for(
                lambda: any(step.receipt.receipt_id not in known for step in self.pending())
            )
