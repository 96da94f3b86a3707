"""How soon an event shows in an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import grpc
from nats.js.client import JetStreamContext

from freshet.ranking.v1.ranking_pb2 import RecommendRequest
from freshet.ranking.v1.ranking_pb2_grpc import RankingServiceStub
from shared.adapters.jetstream.streams import api, last_position
from shared.client import user_event
from tests.bench.empty import empty_server
from tests.bench.numbers import p50_and_p99, percentile
from tests.bench.result import BenchError, Result, say
from tests.bench.traffic import other_traffic
from tests.bench.world import ITEMS, PAGE, World, users

FRESHNESS = "freshness: event sent -> answer with its token"
RATE = 300
P50_SECONDS, P99_SECONDS, RATIO = 0.010, 0.040, 4.0
SAMPLES_PER_SECOND = 25
SETTLE_SECONDS = 2.0
RATE_TOLERANCE = 0.05
_STREAM = "BENCH_BARE"


async def measure_freshness(world: World, seconds: int) -> list[Result]:
    """The rows of freshness: absolute times, and the ratio to a bare publish and an empty call."""
    answer = (await world.recommend(users()[0])).SerializeToString()
    jetstream = await _bare_stream(world)
    async with (
        empty_server(answer, world.directory) as address,
        grpc.aio.insecure_channel(address) as channel,
        other_traffic(world.suite.address("ingestion"), RATE, ITEMS),
    ):
        await asyncio.sleep(SETTLE_SECONDS)
        await _bare(jetstream, RankingServiceStub(channel), 0)  # it connects, as the SDK has long before
        before, started = await last_position(world.nats, world.names), time.monotonic()
        own, bare = await _interleaved(world, jetstream, RankingServiceStub(channel), seconds)
        written = await last_position(world.nats, world.names) - before - len(own)
        rate = written / (time.monotonic() - started)
    if rate < (1 - RATE_TOLERANCE) * RATE:
        raise BenchError(f"the other traffic was {rate:.0f} events/s, not {RATE}")
    say(f"freshness: {p50_and_p99(own)} at {rate:.0f} events/s; bare {p50_and_p99(bare)}")
    return _rows(own, bare, rate)


async def _interleaved(
    world: World, jetstream: JetStreamContext, empty: RankingServiceStub, seconds: int
) -> tuple[list[float], list[float]]:
    """Seconds from write to answer, and of the bare pair, taking turns."""
    own, bare = [], []
    end = time.monotonic() + 2 * seconds
    while time.monotonic() < end:
        number = len(own)
        own.append(await _timed(_fresh(world, number)))
        bare.append(await _timed(_bare(jetstream, empty, number)))
        await asyncio.sleep(1 / SAMPLES_PER_SECOND)
    return own, bare


async def _timed(action: Awaitable[None]) -> float:
    started = time.perf_counter()
    await action
    return time.perf_counter() - started


async def _fresh(world: World, number: int) -> None:
    user = users()[number % len(users())]
    written = await world.client.write_user_event(user_event("click", user, [f"item-{number % ITEMS}"]))
    await world.client.recommend(user, page_size=PAGE, min_consistency_token=written.consistency_token)


async def _bare(jetstream: JetStreamContext, empty: RankingServiceStub, number: int) -> None:
    user = users()[number % len(users())]
    payload = user_event("click", user, [f"item-{number % ITEMS}"]).SerializeToString()
    await jetstream.publish("bench_bare.v1", payload)
    await empty.Recommend(RecommendRequest(user_id=user, page_size=PAGE))


async def _bare_stream(world: World) -> JetStreamContext:
    config = {"name": _STREAM, "subjects": ["bench_bare.v1"], "storage": "file"}
    await api(world.nats, f"STREAM.CREATE.{_STREAM}", config)
    return world.nats.jetstream()


def _rows(own: list[float], bare: list[float], rate: float) -> list[Result]:
    details = {"events_per_second": rate, "samples": len(own), "own_seconds": own, "bare_seconds": bare}
    rows = []
    for share, budget in ((50, P50_SECONDS), (99, P99_SECONDS)):
        mine, theirs = percentile(own, share), percentile(bare, share)
        rows.append(
            Result(
                f"{FRESHNESS}, p{share}",
                f"<= {budget * 1e3:.0f} ms and <= {RATIO:g}",
                f"{mine * 1e3:.2f} ms",
                f"{theirs * 1e3:.2f} ms publish + empty call",
                mine / theirs,
                mine <= budget and mine / theirs <= RATIO,
                details=details if share == 50 else {},
            )
        )
    return rows
