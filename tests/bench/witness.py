"""Watches the answers that h2load does not look into: every status, and a sample of contents."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bench.result import BenchError
from tests.bench.world import World, users
from tests.beside import beside

SAMPLES_PER_SECOND = 10
_COUNT = re.compile(r'freshet_rpc_total\{code="(\w+)",method="Recommend"\} ([0-9.e+]+)')


@asynccontextmanager
async def witness(world: World) -> AsyncIterator[None]:
    """Raises BenchError at the end if any Recommend did not end with OK, or a sampled answer was not a whole
    page by the model."""
    before = await _failures(world)
    async with beside(_sample(world)):
        yield
    failures = await _failures(world) - before
    if failures:
        raise BenchError(f"{failures:.0f} calls of Recommend ended with another status than OK")


async def _sample(world: World) -> None:
    while True:
        for user in users():
            await world.recommend(user)
            await asyncio.sleep(1 / SAMPLES_PER_SECOND)


async def _failures(world: World) -> float:
    """Calls of Recommend that ended otherwise than OK since ranking started. CANCELLED are those that h2load has under
    way when its time is up."""
    counts = await calls_by_code(world)
    return sum(count for code, count in counts.items() if code not in ("OK", "CANCELLED"))


async def calls_by_code(world: World) -> dict[str, float]:
    """Calls of Recommend that have ended since ranking started, by their status."""
    text = await asyncio.to_thread(_metrics, world.suite.settings.metrics_ports["ranking"])
    return {code: float(count) for code, count in _COUNT.findall(text)}


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()
