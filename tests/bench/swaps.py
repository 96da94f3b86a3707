"""Model swaps under load: failures, latency, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np

from shared.adapters.postgres.registry import RegisteredModel
from tests.bench.empty import RECOMMEND
from tests.bench.h2load import Target, load, write_body
from tests.bench.model import with_items
from tests.bench.numbers import percentile
from tests.bench.processes import resident_bytes
from tests.bench.result import Result, say
from tests.bench.witness import witness
from tests.bench.world import ITEMS, World, item_ids, request_of, users

SWAPS = "model swap (100k items) under load"
MODEL_ITEMS = 100_000
WARM_SWAPS = 4
SWAPS_COUNTED, FULL_SWAPS = 20, 1_000
P99_RATIO, MEMORY_RATIO = 1.5, 1.05
SECONDS_AT_REST = 2.5
"""Until the last model before is given back."""
LOAD_SHARE = 0.4
"""Of what ranking can answer with this model."""


async def measure_swaps(world: World, seconds: int, swaps: int) -> list[Result]:
    """The rows of so many swaps: failures and latency, and memory."""
    rows = await two_models(world)
    for row in islice(rows, WARM_SWAPS):
        await world.promote(row)
    await asyncio.sleep(1.0)
    rate = (await load(target(world), seconds)).rate * LOAD_SHARE
    say(f"swaps: {swaps} of them at {rate:.0f} calls/s")
    return await _measured(world, list(islice(rows, swaps)), rate)


async def two_models(world: World) -> Iterator[RegisteredModel]:
    """Two models of 100,000 items, stored, by turns for ever; the catalogue has their items."""
    say(f"swaps: {MODEL_ITEMS:,} items, two models")
    await world.add_items(item_ids(MODEL_ITEMS)[ITEMS:])
    bundles = [with_items(world.bundle, item_ids(MODEL_ITEMS), seed) for seed in (1, 2)]
    return cycle([await world.store(bundle) for bundle in bundles])


def target(world: World) -> Target:
    """Calls of all users."""
    bodies = [write_body(world.directory / f"{user}.body", request_of(user)) for user in users()]
    return Target(world.suite.address("ranking"), RECOMMEND, bodies)


async def _measured(world: World, rows: list[RegisteredModel], rate: float) -> list[Result]:
    pid = world.suite.service("ranking").pid
    before = resident_bytes(pid)
    async with witness(world):
        swapping, steady = await _in_turns(world, rows, rate)
    return [
        _latency(swapping, steady, rate, len(rows)),
        _memory(before, resident_bytes(pid), len(rows)),
    ]


async def _in_turns(world: World, rows: list[RegisteredModel], rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Latencies in seconds while models are swapped, one behind the other, and while none is: two swaps, then half as
    long without any, and so on, since the machine's own pace changes within half a minute. In turns of five swaps one
    slow spell, which doubled the 99th percentile of either side, made 1.9 of what was 1.1 to 1.3."""
    swapping, steady = list[np.ndarray](), list[np.ndarray]()
    for start in range(0, len(rows), _SWAPS_IN_TURN):
        parts = await _swapped(world, rows[start : start + _SWAPS_IN_TURN], rate)
        say(f"swaps: {min(start + _SWAPS_IN_TURN, len(rows))} of {len(rows)}")
        await asyncio.sleep(SECONDS_AT_REST)
        swapping += parts
        steady += [await _part(world, rate) for _ in range((len(parts) + 1) // 2)]
    return np.concatenate(swapping), np.concatenate(steady)


_SWAPS_IN_TURN, _PART_SECONDS = 2, 3


async def _swapped(world: World, rows: list[RegisteredModel], rate: float) -> list[np.ndarray]:
    """Latencies of parts, until the last of these models serves."""
    swapping, parts = asyncio.create_task(_swap(world, rows)), list[np.ndarray]()
    while not swapping.done():
        parts.append(await _part(world, rate))
    await swapping
    return parts


async def _part(world: World, rate: float) -> np.ndarray:
    return (await load(target(world), _PART_SECONDS, rate)).latencies


async def _swap(world: World, rows: list[RegisteredModel]) -> None:
    for row in rows:
        await world.promote(row)


def _latency(swapping: np.ndarray, steady: np.ndarray, rate: float, swaps: int) -> Result:
    mine, theirs = percentile(swapping, 99), percentile(steady, 99)
    return Result(
        f"{SWAPS}, p99 and failures ({swaps} swaps)",
        f"0 failed, <= {P99_RATIO}",
        f"0 failed of {len(swapping):,}, {mine * 1e3:.1f} ms",
        f"{theirs * 1e3:.1f} ms steady",
        mine / theirs,
        mine <= P99_RATIO * theirs,
        details={
            "rate": rate,
            "swaps": swaps,
            "p50": percentile(swapping, 50),
            "p50_steady": percentile(steady, 50),
        },
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
