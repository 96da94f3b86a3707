"""Measures the budgets: `python -m tests.bench [--json FILE] [--only ROW] [--seconds N] [--full]`."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploy.local.settings import REPOSITORY
from tests.bench import recovery, swap_memory, swaps
from tests.bench.deltas import measure_deltas
from tests.bench.freshness import measure_freshness
from tests.bench.ingesting import measure_ingestion
from tests.bench.memory import measure_memory
from tests.bench.overload import measure_overload
from tests.bench.report import show, write
from tests.bench.result import Result, say
from tests.bench.streaming import measure_streaming
from tests.bench.throughput import measure_latency, measure_throughput
from tests.bench.world import World, running_world

ROWS = (
    "memory",
    "throughput",
    "latency",
    "overload",
    "freshness",
    "ingestion",
    "streaming",
    "deltas",
    "swaps",
    "swap_memory",
    "recovery",
)
ROWS_OF_THEIR_OWN = ("memory", "swap_memory")
"""Which are not measured in the world of the others."""
NOT_BUILT_ROWS = [
    Result("retrieval over 1 million items", "<= 0.05 x exact, recall@100 >= 0.97"),
]
Measure = Callable[[], Awaitable[list[Result]]]


def main() -> int:
    """Measure, print, write. 1 when a row could not be measured."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as directory:
        results = asyncio.run(_measure_all(options, Path(directory)))
    results += NOT_BUILT_ROWS
    show(results)
    write(results, options.json)
    say(f"written to {options.json}")
    return 1 if any(each.failed for each in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the budgets.")
    parser.add_argument("--json", type=Path, default=REPOSITORY / ".freshet" / "bench.json")
    parser.add_argument("--only", choices=ROWS, action="append", help="a row to measure; may be repeated")
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (default 3)")
    parser.add_argument("--full", action="store_true", help="as many events and swaps as the budget says")
    return parser.parse_args()


async def _measure_all(options: argparse.Namespace, directory: Path) -> list[Result]:
    wanted = [row for row in ROWS if not options.only or row in options.only]
    results: list[Result] = []
    if "memory" in wanted:
        results += await _guarded("memory", measure_memory)
    if set(wanted) - set(ROWS_OF_THEIR_OWN):
        async with running_world(directory) as world:
            measures = _measures(world, options)
            for row in wanted:
                if row in measures:
                    results += await _guarded(row, measures[row])
    if "swap_memory" in wanted:
        count = swaps.FULL_SWAPS if options.full else swap_memory.SWAPS_COUNTED
        results += await _guarded(
            "swap_memory", lambda: swap_memory.measure_swap_memory(directory / "swap_memory", count)
        )
    return results


def _measures(world: World, options: argparse.Namespace) -> dict[str, Measure]:
    events = recovery.FULL_EVENTS if options.full else recovery.EVENTS
    counted = swaps.FULL_SWAPS if options.full else swaps.SWAPS_COUNTED
    seconds = options.seconds
    return {
        "throughput": lambda: measure_throughput(world, seconds),
        "latency": lambda: measure_latency(world, seconds),
        "overload": lambda: measure_overload(world, seconds),
        "freshness": lambda: measure_freshness(world, seconds),
        "ingestion": lambda: measure_ingestion(world, seconds),
        "streaming": lambda: measure_streaming(world, seconds),
        "deltas": lambda: measure_deltas(world),
        "swaps": lambda: swaps.measure_swaps(world, seconds, counted),
        "recovery": lambda: recovery.measure_recovery(world, events),
    }


async def _guarded(row: str, measure: Measure) -> list[Result]:
    """The row; what went wrong stands in it, and the other rows are still measured."""
    try:
        return await measure()
    except Exception as error:
        say(f"{row}: {error}")
        traceback.print_exc()
        return [Result(row, "", f"{type(error).__name__}: {error}"[:300], failed=True)]


if __name__ == "__main__":
    raise SystemExit(main())
