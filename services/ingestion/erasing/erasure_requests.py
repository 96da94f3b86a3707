"""Takes requests to erase a user into the log, one for all that ask while it is under way."""

from __future__ import annotations

import asyncio
import time
import uuid

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.erasures import Erasures
from shared.adapters.jetstream.publish_behind import OvertakenError, publish_behind
from shared.adapters.jetstream.streams import Names, StreamError, last_position_of
from shared.adapters.jetstream.user_traces import TraceFinder, reach_of

LOG_AWAY = (nats.errors.Error, nats.js.errors.Error, StreamError, TimeoutError, OSError)
"""What a call raises while NATS is away."""


class ErasureRequests:
    """Asks for erasures and waits for them. `mine` holds the receipt ids of those that this process asked for."""

    def __init__(self, connection: Client, names: Names, erasures: Erasures, finder: TraceFinder) -> None:
        self._connection = connection
        self._names = names
        self._erasures = erasures
        self._finder = finder
        self.mine: set[str] = set()

    async def request(self, user_id: str) -> str:
        """The receipt id of the erasure that covers all there is of a user now: the one under way, the last one if
        nothing has come since, or a new one, which is on disk then. Raises what LOG_AWAY lists."""
        key = user_key(user_id)
        subject = self._names.erasure_subject(partition_of(key, self._finder.partitions))
        while True:
            last = await last_position_of(self._connection, self._names, subject)
            await self._erasures.reach(last)
            step = self._erasures.newest_of(key)
            if step and not (step.complete and await self._has_newer(step.receipt)):
                return step.receipt.receipt_id
            if receipt_id := await self._append(subject, key, last):
                return receipt_id

    async def result(self, receipt_id: str, wait_seconds: float) -> ErasureReceipt:
        """The receipt of a requested erasure once it is complete, or as it is after `wait_seconds`."""
        try:
            async with asyncio.timeout(wait_seconds):
                await self._erasures.completed(receipt_id)
        except TimeoutError:
            pass  # it goes on; the caller sees that `complete_time` is absent
        step = self._erasures.step_of(receipt_id)
        assert step is not None, "asked for an erasure that was never requested"
        return step.receipt

    async def _has_newer(self, receipt: ErasureReceipt) -> bool:
        """Whether anything of the user has come behind a completed erasure, or has turned up late."""
        end = await self._finder.ends()
        end = end._replace(events=end.events + 1)  # an exposure may reflect the very last position
        return bool(await self._finder.find(receipt.user_key, end, reach_of(receipt)))

    async def _append(self, subject: str, key: int, last: int) -> str | None:
        """Append a request unless the log holds an erasure of the partition behind `last`: then None."""
        receipt = ErasureReceipt(receipt_id=uuid.uuid4().hex, user_key=key)
        receipt.request_time.FromNanoseconds(time.time_ns())
        self.mine.add(receipt.receipt_id)
        payload = Erasure(receipt=receipt).SerializeToString()
        message_id = f"erasure-{receipt.receipt_id}-request"
        try:
            stored = await publish_behind(self._connection, subject, payload, last, message_id)
        except OvertakenError:
            return None
        await self._erasures.reach(stored)
        return receipt.receipt_id
