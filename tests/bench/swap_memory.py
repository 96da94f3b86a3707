"""Memory after very many swaps: one behind the other, as fast as models load, beside few calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from shared.adapters.postgres.registry import RegisteredModel
from tests.bench.h2load import load
from tests.bench.processes import resident_bytes
from tests.bench.result import Result, say
from tests.bench.swaps import FULL_SWAPS, SECONDS_AT_REST, WARM_SWAPS, target, two_models
from tests.bench.witness import calls_by_code, witness
from tests.bench.world import World, running_world
from tests.beside import beside

SWAPS_COUNTED = 100
MOST_RATIO = 1.05
LOAD_SHARE = {"FRESHET_LOAD_SHARE": "1"}
"""Loads are not held back: in their usual share of the time a thousand take more than half an hour."""
_CALLS_PER_SECOND, _SECONDS, _TOLD_EVERY = 40.0, 3, 50


async def measure_swap_memory(directory: Path, swaps: int) -> list[Result]:
    """The row of so many swaps, in a world of its own. Raises BenchError when a call fails."""
    async with running_world(directory, LOAD_SHARE) as world:
        rows = await two_models(world)
        async with witness(world), beside(_call(world)):
            resident = [await _swapped(world, islice(rows, WARM_SWAPS))]
            for start in range(0, swaps, _TOLD_EVERY):
                resident.append(await _swapped(world, islice(rows, min(_TOLD_EVERY, swaps - start))))
                say(f"swaps: {min(start + _TOLD_EVERY, swaps)} of {swaps}, {resident[-1] / 2**20:.0f} MiB")
        answered = (await calls_by_code(world))["OK"]
    return [_row(resident, swaps, answered)]


async def _swapped(world: World, rows: Iterable[RegisteredModel]) -> int:
    """Bytes of RSS when the last of these models serves and the one before it is given back."""
    for row in rows:
        await world.promote(row)
    await asyncio.sleep(SECONDS_AT_REST)
    return resident_bytes(world.suite.service("ranking").pid)


async def _call(world: World) -> None:
    while True:
        await load(target(world), _SECONDS, _CALLS_PER_SECOND)


def _row(resident: list[int], swaps: int, answered: float) -> Result:
    before, after = resident[0], resident[-1]
    return Result(
        f"memory after {swaps:,} swaps of 100k items, as fast as they load ({FULL_SWAPS:,} with --full)",
        f"0 failed, <= {MOST_RATIO}",
        f"0 failed of {answered:,.0f}, {after / 2**20:.0f} MiB",
        f"{before / 2**20:.0f} MiB after {WARM_SWAPS} swaps",
        after / before,
        after <= MOST_RATIO * before,
        details={"swaps": swaps, "resident": resident},
    )
