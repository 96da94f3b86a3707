"""Recommend against an empty server: throughput, and latency at half of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np

from tests.bench.empty import both_servers
from tests.bench.h2load import WARM_UP_SECONDS, Load, Target, load
from tests.bench.numbers import median, p50_and_p99, percentile
from tests.bench.processes import cpu_seconds
from tests.bench.result import BenchError, Result, say
from tests.bench.witness import witness
from tests.bench.world import World

FINAL_RATIO, FIRST_RATIO = 0.5, 0.25
P50_RATIO, P99_RATIO = 2.5, 3.0
ROUNDS = 3
SIZE_TOLERANCE = 0.1
THROUGHPUT = "Recommend throughput"
LATENCY = "Recommend latency at half of that load"
Run = Callable[[Target], Awaitable[Load]]


async def measure_throughput(world: World, seconds: int) -> list[Result]:
    """The row of throughput."""
    used = cpu_seconds(world)
    own, empty = await _interleaved(world, lambda target: load(target, seconds), THROUGHPUT)
    used = {name: spent - used[name] for name, spent in cpu_seconds(world).items()}
    _check_sizes(own, empty)
    calls = sum(each.rate for each in own) * (seconds + WARM_UP_SECONDS)
    ratios = [mine.rate / theirs.rate for mine, theirs in zip(own, empty, strict=True)]
    return [
        Result(
            THROUGHPUT,
            f">= {FINAL_RATIO} (first cut >= {FIRST_RATIO})",
            f"{median([each.rate for each in own]):,.0f}/s",
            f"{median([each.rate for each in empty]):,.0f}/s empty server",
            median(ratios),
            median(ratios) >= FINAL_RATIO,
            details={
                "rates": [each.rate for each in own],
                "empty_rates": [each.rate for each in empty],
                "ratios": ratios,
                "cpu_microseconds_a_call": {name: spent / calls * 1e6 for name, spent in used.items()},
                "first_cut_reached": median(ratios) >= FIRST_RATIO,
            },
        )
    ]


async def measure_latency(world: World, seconds: int) -> list[Result]:
    """Both rows of latency."""
    async with both_servers(world) as (own_target, _):
        rate = (await load(own_target, seconds)).rate / 2
    own, empty = await _interleaved(world, lambda target: load(target, seconds, rate), LATENCY)
    rows = [_latency(own, empty, 50, P50_RATIO), _latency(own, empty, 99, P99_RATIO)]
    say(f"{LATENCY}: {_p(own)} against {_p(empty)} at {rate:,.0f}/s")
    return rows


def _latency(own: list[Load], empty: list[Load], share: int, budget: float) -> Result:
    pairs = [
        (percentile(a.latencies, share), percentile(b.latencies, share))
        for a, b in zip(own, empty, strict=True)
    ]
    ratio = median([mine / theirs for mine, theirs in pairs])
    return Result(
        f"{LATENCY}, p{share}",
        f"<= {budget}",
        f"{median([mine for mine, _ in pairs]) * 1e3:.2f} ms",
        f"{median([theirs for _, theirs in pairs]) * 1e3:.2f} ms empty server",
        ratio,
        ratio <= budget,
        details={"seconds": pairs, "rate": median([each.rate for each in own])},
    )


def _p(loads: list[Load]) -> str:
    return p50_and_p99(np.concatenate([each.latencies for each in loads]))


async def _interleaved(world: World, run: Run, what: str) -> tuple[list[Load], list[Load]]:
    """Ranking, empty, ranking, empty and so on: noise meets both."""
    own: list[Load] = []
    empty: list[Load] = []
    async with both_servers(world) as (own_target, empty_target), witness(world):
        for number in range(1, ROUNDS + 1):
            own.append(await run(own_target))
            empty.append(await run(empty_target))
            say(f"{what}, {number} of {ROUNDS}: {own[-1].rate:,.0f}/s, empty {empty[-1].rate:,.0f}/s")
    return own, empty


def _check_sizes(own: list[Load], empty: list[Load]) -> None:
    """Answers that lack items would be shorter than the empty server's, which was a whole one."""
    for mine, theirs in zip(own, empty, strict=True):
        size, whole = mine.bytes / mine.succeeded, theirs.bytes / theirs.succeeded
        if abs(size - whole) > SIZE_TOLERANCE * whole:
            raise BenchError(f"answers have {size:.0f} bytes on average, a whole one has {whole:.0f}")
