"""Senders that repeat themselves: what got no answer at once or much later, what was acknowledged long ago, and the
same event through both doors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_REJECTED,
    WRITE_STATUS_UNAVAILABLE,
    WriteOutcome,
)
from shared.adapters.jetstream.streams import Names
from shared.client import FreshetClient, FreshetError
from shared.client.patience import PASSING
from shared.domain.consistency import decode_token
from tests.chaos.ledger import Ledger
from tests.chaos.shoppers import Shoppers

CALL_SECONDS, PUBLISH_SECONDS = 4.0, 3.0
MAX_BATCH = 40
GIVE_UP = 0.15
"""The share of failed tries after which a sender leaves its events for much later."""
STREAMED = 0.25
"""The share of gRPC writes that are streams."""
LATER_SECONDS = 1.5
"""Longer than the log's own memory of ids."""
NATS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class Load:
    """Sends until stopped. pause_seconds: mean time a sender rests between two events of its own."""

    def __init__(
        self, client: FreshetClient, connection: Client, names: Names, ledger: Ledger, seed: int
    ) -> None:
        self._client = client.with_options(timeout_seconds=CALL_SECONDS)
        self._jetstream, self._door = connection.jetstream(), names.door
        self._ledger, self._seed = ledger, seed
        self._stopping = asyncio.Event()

    async def run(self, pause_seconds: float) -> None:
        """All senders, until `stop`; each ends with the answer it waits for."""
        async with asyncio.TaskGroup() as senders:
            for number in range(2):
                senders.create_task(self._sender(f"batch{number}", MAX_BATCH, pause_seconds))
                senders.create_task(self._sender(f"few{number}", 3, pause_seconds))
            senders.create_task(self._resender(pause_seconds))

    def stop(self) -> None:
        """Send nothing new."""
        self._stopping.set()

    async def _sender(self, name: str, most: int, pause_seconds: float) -> None:
        random = Random(f"{name} {self._seed}")
        shoppers = Shoppers(random, f"{self._seed}-{name}")
        while not self._stopping.is_set():
            events = shoppers.events(random.randint(1, most))
            for event in events:
                self._ledger.note_sent(event)
            await self._send_somehow(random, events)
            await self._rest(random.expovariate(1 / (pause_seconds * len(events))))

    async def _resender(self, pause_seconds: float) -> None:
        """Acknowledged events of long ago, and doubtful ones, once more."""
        random = Random(f"resender {self._seed}")
        while not self._stopping.is_set():
            events = self._ledger.old_ones(random, random.randint(1, MAX_BATCH), LATER_SECONDS)
            doubtful, self._ledger.doubtful = self._ledger.doubtful[:20], self._ledger.doubtful[20:]
            if events or doubtful:
                await self._send_somehow(random, [*events, *doubtful])
            await self._rest(random.expovariate(1 / (2 * pause_seconds * MAX_BATCH)))

    async def _send_somehow(self, random: Random, events: Sequence[UserEvent]) -> None:
        """By one door or the other, or both at once."""
        choice = random.random()
        if choice < 0.65:
            await self._by_grpc(random, events)
        elif choice < 0.85:
            await self._by_nats(random, events)
        else:
            await asyncio.gather(self._by_grpc(random, events), self._by_nats(random, events))

    async def _by_grpc(self, random: Random, events: Sequence[UserEvent]) -> None:
        left = list(events)
        while left:
            left = await self._try_grpc(random, left)
            if left and (self._stopping.is_set() or random.random() < GIVE_UP):
                self._ledger.doubtful += left
                return
            if left:
                await asyncio.sleep(random.uniform(0.05, 2 * LATER_SECONDS))

    async def _try_grpc(self, random: Random, events: list[UserEvent]) -> list[UserEvent]:
        """Those that must be sent again."""
        if len(events) > 1 and random.random() < STREAMED:
            return await self._try_stream(events)
        try:
            if len(events) == 1:
                return await self._try_one(events[0])
            answer = await self._client.batch_write_user_events(_copies(events))
        except FreshetError as error:
            return self._failed(error, events)
        pairs = zip(events, answer.outcomes, strict=True)
        return [event for event, outcome in pairs if not self._noted(event, outcome)]

    async def _try_stream(self, events: list[UserEvent]) -> list[UserEvent]:
        left, waiting = [], list(events)
        try:
            async for response in self._client.stream_user_events(_copies(events)):
                event = waiting.pop(0)
                if not self._noted(event, response.outcome):
                    left.append(event)
        except FreshetError as error:
            return self._failed(error, [*left, *waiting])
        return left

    def _noted(self, event: UserEvent, outcome: WriteOutcome) -> bool:
        """Whether the event has its final outcome."""
        if outcome.status == WRITE_STATUS_UNAVAILABLE:
            self._ledger.told["unavailable"] += 1
            return False
        if outcome.status == WRITE_STATUS_REJECTED:
            self._ledger.violations.append(f"a valid event was rejected: {outcome}")
        else:
            self._ledger.note_written(event, outcome.status == WRITE_STATUS_ACCEPTED, outcome.position)
        return True

    async def _try_one(self, event: UserEvent) -> list[UserEvent]:
        answer = await self._client.write_user_event(*_copies([event]))
        position = max(decode_token(answer.consistency_token).values())
        self._ledger.note_written(event, answer.status == WRITE_STATUS_ACCEPTED, position)
        return []

    def _failed(self, error: FreshetError, events: list[UserEvent]) -> list[UserEvent]:
        if not isinstance(error, PASSING):
            self._ledger.violations.append(f"a write failed with {error.code.name}: {error}")
        self._ledger.told[f"write {error.code.name}"] += len(events)
        return events

    async def _by_nats(self, random: Random, events: Sequence[UserEvent]) -> None:
        for event in events:
            while not await self._published(random, event):
                if self._stopping.is_set() or random.random() < GIVE_UP:
                    self._ledger.doubtful.append(event)
                    break
                await asyncio.sleep(random.uniform(0.05, 2 * LATER_SECONDS))

    async def _published(self, random: Random, event: UserEvent) -> bool:
        headers = {"Nats-Msg-Id": event.event_id} if random.random() < 0.5 else None
        payload = event.SerializeToString()
        try:
            await self._jetstream.publish(self._door, payload, timeout=PUBLISH_SECONDS, headers=headers)
        except NATS_ERRORS:
            self._ledger.told["door unavailable"] += 1
            return False
        self._ledger.note_at_door(event)
        return True

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _copies(events: Sequence[UserEvent]) -> list[UserEvent]:
    """What is handed to the SDK, so that every try sends the same."""
    return [UserEvent.FromString(event.SerializeToString()) for event in events]
