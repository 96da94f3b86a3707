"""Recommend under more calls than can be answered: what is left of the answers that come in time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.bench.empty import both_servers
from tests.bench.h2load import Pressure, Target, load, press
from tests.bench.numbers import median
from tests.bench.result import Result, say
from tests.bench.witness import calls_by_code
from tests.bench.world import World

GOODPUT_RATIO = 0.8
TIMES = 2.0
DEADLINE_SECONDS = 0.3
STREAMS_TOGETHER = 800
CONNECTIONS = (1, 2, 8)
ROUNDS = 3


async def measure_overload(world: World, seconds: int) -> list[Result]:
    """A row for each number of connections: of the answers that are given within the capacity, how many come in time
    when twice as many are asked for."""
    rounds: dict[int, list[tuple[float, float]]] = {connections: [] for connections in CONNECTIONS}
    async with both_servers(world) as (target, _):
        for number in range(1, ROUNDS + 1):
            capacity = (await load(target, seconds)).rate
            for connections, pairs in rounds.items():
                some = replace(target, bodies=target.bodies[:connections])
                pairs.append((await _goodput(world, some, seconds, TIMES * capacity), capacity))
            told = ", ".join(f"{pairs[-1][0]:,.0f}/s" for pairs in rounds.values())
            say(f"overload, {number} of {ROUNDS}: {capacity:,.0f}/s, in time at twice the load {told}")
    return [_row(connections, pairs) for connections, pairs in rounds.items()]


async def _goodput(world: World, target: Target, seconds: int, rate: float) -> float:
    """Answers per second that were given in time."""
    pressure = Pressure(rate, STREAMS_TOGETHER // len(target.bodies), DEADLINE_SECONDS)
    before, begun = await calls_by_code(world), asyncio.get_running_loop().time()
    await press(target, seconds, pressure)
    passed = asyncio.get_running_loop().time() - begun
    return ((await calls_by_code(world)).get("OK", 0.0) - before.get("OK", 0.0)) / passed


def _row(connections: int, pairs: list[tuple[float, float]]) -> Result:
    ratio = median([goodput / capacity for goodput, capacity in pairs])
    return Result(
        f"Recommend in time at {TIMES:g} x the load, {connections} connection{'s' * (connections > 1)}",
        f">= {GOODPUT_RATIO}",
        f"{median([goodput for goodput, _ in pairs]):,.0f}/s",
        f"{median([capacity for _, capacity in pairs]):,.0f}/s capacity",
        ratio,
        ratio >= GOODPUT_RATIO,
        details={"goodput": [pair[0] for pair in pairs], "capacity": [pair[1] for pair in pairs]},
    )
