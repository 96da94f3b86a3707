"""Ingestion in batches against a bare publisher of the same batches."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import WriteStatus
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.streams import api
from shared.client import user_event
from shared.domain.consistency import decode_token
from tests.bench.numbers import median
from tests.bench.result import BenchError, Result, say
from tests.bench.world import BATCH, ITEMS, World

INGESTION = "ingestion, batches of 500 until folded"
RATIO = 0.5
ROUNDS = 4
BATCHES = 60
"""Of a round, which takes a second or more: what is done behind the writes, such as archiving, is part of it."""
AT_ONCE = 4
PARTITIONS = 16
_STREAM, _SUBJECT = "BENCH_BATCHES", "bench_batches.v1"
Batch = Sequence[UserEvent]


async def measure_ingestion(world: World, seconds: int) -> list[Result]:
    """The row of ingestion."""
    config = {"name": _STREAM, "subjects": [f"{_SUBJECT}.*.*"], "storage": "file", "allow_atomic": True}
    await api(world.nats, f"STREAM.CREATE.{_STREAM}", config)
    own, bare = [], []
    await _own_rate(world, [_batch() for _ in range(BATCHES)])  # users and items are new once
    for number in range(1, ROUNDS + 1):
        batches = [_batch() for _ in range(BATCHES)]
        own.append(await _own_rate(world, batches))
        bare.append(await _bare_rate(world, batches))
        say(f"ingestion, {number} of {ROUNDS}: {own[-1]:,.0f}/s, bare {bare[-1]:,.0f}/s")
    ratios = [mine / theirs for mine, theirs in zip(own, bare, strict=True)]
    return [
        Result(
            INGESTION,
            f">= {RATIO}",
            f"{median(own):,.0f} events/s",
            f"{median(bare):,.0f} events/s bare publisher",
            median(ratios),
            median(ratios) >= RATIO,
            details={"own": own, "bare": bare, "ratios": ratios, "batches_at_once": AT_ONCE},
        )
    ]


def _batch() -> Batch:
    return [
        user_event("click", f"reader-{uuid.uuid4().int % 2_000}", [f"item-{number % ITEMS}"])
        for number in range(BATCH)
    ]


async def _own_rate(world: World, batches: Sequence[Batch]) -> float:
    """Events per second, from the first one sent until features reflect the last."""
    started = time.perf_counter()
    tokens = [await each for each in _some_at_once([_write(world, batch) for batch in batches])]
    # Features reflect a position and all before it, so one read that waits for the furthest waits for all.
    furthest = max(range(len(batches)), key=lambda at: max(decode_token(tokens[at]).values()))
    await world.client.get_user_features(batches[furthest][-1].user_id, tokens[furthest])
    return len(batches) * BATCH / (time.perf_counter() - started)


async def _write(world: World, batch: Batch) -> str:
    answer = await world.client.batch_write_user_events(batch)
    if any(each.status != WriteStatus.WRITE_STATUS_ACCEPTED for each in answer.outcomes):
        raise BenchError("an event of a batch was not accepted")
    return answer.consistency_token


async def _bare_rate(world: World, batches: Sequence[Batch]) -> float:
    """Events per second, from the first one sent until the last acknowledgement."""
    started = time.perf_counter()
    for each in _some_at_once([_publish(world, batch) for batch in batches]):
        await each
    return len(batches) * BATCH / (time.perf_counter() - started)


async def _publish(world: World, batch: Batch) -> None:
    """One atomic batch."""
    batch_id = uuid.uuid4().hex
    for sequence, event in enumerate(batch, 1):
        headers = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(sequence)}
        headers["Nats-Msg-Id"] = event.event_id
        subject = f"{_SUBJECT}.{partition_of(user_key(event.user_id), PARTITIONS)}.{event.event_type}"
        payload = event.SerializeToString()
        if sequence < len(batch):
            await world.nats.publish(subject, payload, headers=headers)
    headers["Nats-Batch-Commit"] = "1"
    answer = json.loads((await world.nats.request(subject, payload, timeout=10, headers=headers)).data)
    if "error" in answer:
        raise BenchError(f"the server refused a bare batch: {answer['error']['description']}")


def _some_at_once(coroutines: Sequence) -> list[asyncio.Task]:
    """Tasks of which `AT_ONCE` run at any time, begun in order."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def in_turn(coroutine):
        async with turn:
            return await coroutine

    return [asyncio.ensure_future(in_turn(each)) for each in coroutines]
