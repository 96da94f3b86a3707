"""Model swaps under load: failures, latency, memory."""

from __future__ import annotations

import asyncio
from itertools import cycle, islice

from shared.adapters.registry import RegisteredModel
from tests.bench.empty import RECOMMEND
from tests.bench.h2load import Load, Target, load, write_body
from tests.bench.model import with_items
from tests.bench.numbers import percentile
from tests.bench.processes import resident_bytes
from tests.bench.result import Result, say
from tests.bench.witness import witness
from tests.bench.world import ITEMS, World, item_ids, request_of, users

SWAPS = "model swap (100k items) under load"
MODEL_ITEMS = 100_000
WARM_SWAPS = 4
SWAPS_COUNTED, FULL_SWAPS = 30, 1_000
P99_RATIO, MEMORY_RATIO = 1.5, 1.05
LOAD_SHARE = 0.4
"""Of what ranking can answer with this model."""


async def measure_swaps(world: World, seconds: int, swaps: int) -> list[Result]:
    """The rows of so many swaps: failures and latency, and memory."""
    say(f"swaps: {MODEL_ITEMS:,} items, two models")
    await world.add_items(item_ids(MODEL_ITEMS)[ITEMS:])
    bundles = [with_items(world.bundle, item_ids(MODEL_ITEMS), seed) for seed in (1, 2)]
    rows = cycle([await world.store(bundle) for bundle in bundles])
    for row in islice(rows, WARM_SWAPS):
        await world.promote(row)
    await asyncio.sleep(1.0)
    target = _target(world)
    rate = (await load(target, seconds)).rate * LOAD_SHARE
    async with witness(world):
        steady = await load(target, 2 * seconds, rate)
    say(f"swaps: steady at {rate:.0f}/s, now {swaps} swaps")
    return await _swapped(world, list(islice(rows, swaps)), steady, rate)


def _target(world: World) -> Target:
    bodies = [write_body(world.directory / f"{user}.body", request_of(user)) for user in users()]
    return Target(world.suite.address("ranking"), RECOMMEND, bodies)


async def _swapped(world: World, rows: list[RegisteredModel], steady: Load, rate: float) -> list[Result]:
    pid = world.suite.service("ranking").pid
    before, loads = resident_bytes(pid), []
    async with witness(world):
        swapping = asyncio.create_task(_swap(world, rows))
        while not swapping.done():
            loads.append(await load(_target(world), _PART_SECONDS, rate))
        await swapping
    return [
        _latency([value for each in loads for value in each.latencies], steady, rate, len(rows)),
        _memory(before, resident_bytes(pid), len(rows)),
    ]


_PART_SECONDS = 3


async def _swap(world: World, rows: list[RegisteredModel]) -> None:
    for number, row in enumerate(rows, 1):
        await world.promote(row)
        if number % 10 == 0:
            say(f"swaps: {number} of {len(rows)}")


def _latency(swapping: list[float], steady: Load, rate: float, swaps: int) -> Result:
    mine, theirs = percentile(swapping, 99), percentile(steady.latencies, 99)
    return Result(
        f"{SWAPS}, p99 and failures ({swaps} swaps)",
        f"0 failed, <= {P99_RATIO}",
        f"0 failed of {len(swapping):,}, {mine * 1e3:.1f} ms",
        f"{theirs * 1e3:.1f} ms steady",
        mine / theirs,
        mine <= P99_RATIO * theirs,
        details={"rate": rate, "swaps": swaps, "p50_swapping": percentile(swapping, 50)},
    )


def _memory(before: int, after: int, swaps: int) -> Result:
    return Result(
        f"{SWAPS}, RSS ({swaps:,} swaps of the budget's {FULL_SWAPS:,})",
        f"<= {MEMORY_RATIO}",
        f"{after / 2**20:.0f} MiB",
        f"{before / 2**20:.0f} MiB after {WARM_SWAPS} swaps",
        after / before,
        after <= MEMORY_RATIO * before,
        details={"before": before, "after": after, "swaps": swaps},
    )
