"""One stream of events against the same events in batches, both through the SDK, one sender each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import WriteStatus
from shared.client import user_event
from tests.bench.numbers import median
from tests.bench.result import NO_BUDGET, BenchError, Result, say
from tests.bench.world import BATCH, ITEMS, World

STREAMING = "one stream of events"
ROUNDS = 4
EVENTS = 6_000


async def measure_streaming(world: World, seconds: int) -> list[Result]:
    """The row of streaming; it has no budget of its own."""
    streamed, batched = [], []
    for number in range(1, ROUNDS + 1):
        streamed.append(await _stream_rate(world, _events()))
        batched.append(await _batch_rate(world, _events()))
        say(f"streaming, {number} of {ROUNDS}: {streamed[-1]:,.0f}/s, in batches {batched[-1]:,.0f}/s")
    ratios = [mine / theirs for mine, theirs in zip(streamed, batched, strict=True)]
    return [
        Result(
            STREAMING,
            NO_BUDGET,
            f"{median(streamed):,.0f} events/s",
            f"{median(batched):,.0f} events/s in batches of {BATCH}",
            median(ratios),
            details={"streamed": streamed, "batched": batched, "ratios": ratios},
        )
    ]


def _events() -> list[UserEvent]:
    return [
        user_event("click", f"reader-{uuid.uuid4().int % 2_000}", [f"item-{number % ITEMS}"])
        for number in range(EVENTS)
    ]


async def _stream_rate(world: World, events: Sequence[UserEvent]) -> float:
    """Events per second, from the first one sent until the last outcome."""
    started, taken = time.perf_counter(), 0
    async for response in world.client.stream_user_events(events):
        taken += bool(response.consistency_token)
    if taken != len(events):
        raise BenchError(f"{taken} of {len(events)} events of a stream were accepted")
    return len(events) / (time.perf_counter() - started)


async def _batch_rate(world: World, events: Sequence[UserEvent]) -> float:
    """Events per second, one batch after the other."""
    started = time.perf_counter()
    for start in range(0, len(events), BATCH):
        answer = await world.client.batch_write_user_events(events[start : start + BATCH])
        if any(each.status != WriteStatus.WRITE_STATUS_ACCEPTED for each in answer.outcomes):
            raise BenchError("an event of a batch was not accepted")
    return len(events) / (time.perf_counter() - started)
