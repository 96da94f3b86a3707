"""One run: real brokers, a real ingestion process, both doors at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from nats.aio.client import Client

from deploy.local.brokers import BrokerSettings, local_brokers
from deploy.local.process import family
from deploy.local.suite import Suite, SuiteSettings, local_suite
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names, ensure_streams
from shared.client import Addresses, FreshetClient
from tests.fuzz.grpc_door import GrpcDoor
from tests.fuzz.nats_door import NatsDoor, follow_letters, follow_probes
from tests.fuzz.tally import GRPC, NATS, Tally

NAMESPACE = "fuzz"
SLICE = 1000
WARM_UP = 0.1
"""The share of the run after which memory must not grow any more."""
GROWTH_MIB = 64.0
"""How much it may grow all the same: the allocator's slack, and what grows with accepted events."""
SETTLE_SECONDS = 120.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """messages: at both doors together. directory: for the brokers' data and all logs."""

    messages: int
    seed: int
    directory: Path


@dataclass
class Report:
    """What a run found. memory: (seconds since the start, MiB) of the ingestion process."""

    plan: Plan
    tally: Tally
    seconds: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def growth_mib(self) -> float:
        """Memory at its highest after the warm-up, less what it was at the end of the warm-up."""
        warm = [size for _, size in self.memory[int(len(self.memory) * WARM_UP) :]]
        return max(warm) - warm[0] if warm else 0.0

    def document(self) -> dict[str, Any]:
        """The report as JSON shows it."""
        return {
            "messages": self.plan.messages,
            "seed": self.plan.seed,
            "seconds": round(self.seconds, 1),
            "messages_per_second": round(self.plan.messages / self.seconds) if self.seconds else 0,
            **self.tally.document(),
            "memory_growth_mib": round(self.growth_mib, 1),
            "memory_growth_bound_mib": GROWTH_MIB,
            "memory": [(round(at, 1), round(size, 1)) for at, size in self.memory],
        }


async def fuzz(plan: Plan, progress: Callable[[int], None]) -> Report:
    """Run to the end. progress: told how many messages were sent since it was last told."""
    names, tally = Names(NAMESPACE), Tally()
    async with (
        local_brokers(BrokerSettings(directory=plan.directory)) as brokers,
        nats_connection(brokers.nats_url, "fuzz") as nats,
    ):
        await ensure_streams(nats, names)
        settings = SuiteSettings.on_free_ports(
            directory=plan.directory,
            nats_url=brokers.nats_url,
            database_url=brokers.database_url,
            namespace=NAMESPACE,
            services=("ingestion",),
        )
        async with local_suite(settings) as suite:
            report = Report(plan, tally)
            await _attack(nats, suite, report, progress)
            return report


async def _attack(nats: Client, suite: Suite, report: Report, progress: Callable[[int], None]) -> None:
    names, tally, started = Names(NAMESPACE), report.tally, time.monotonic()
    watching = [
        asyncio.create_task(follow_letters(nats, names, tally)),
        asyncio.create_task(follow_probes(nats, names, tally)),
        asyncio.create_task(_watch_memory(suite, report)),
    ]
    at_nats = NatsDoor(nats, names, tally, random.Random(f"nats-{report.plan.seed}"))
    await at_nats.open()
    async with FreshetClient(Addresses(ingestion=suite.address("ingestion"))) as client:
        rng = random.Random(f"grpc-{report.plan.seed}")
        at_grpc = GrpcDoor(client.channel("ingestion"), tally, rng)
        half = report.plan.messages // 2
        await asyncio.gather(
            _in_slices(report.plan.messages - half, at_nats.send, progress),
            _in_slices(half, at_grpc.send, progress),
        )
        await _settle(tally, at_nats.probes)
    report.seconds = time.monotonic() - started
    _close_books(tally, at_nats.probes, suite)
    await at_nats.close()
    for task in watching:
        task.cancel()
    for failed in await asyncio.gather(*watching, return_exceptions=True):
        if isinstance(failed, Exception):
            raise failed


async def _in_slices(
    count: int, send: Callable[[int], Awaitable[None]], progress: Callable[[int], None]
) -> None:
    while count > 0:
        size = min(SLICE, count)
        await send(size)
        progress(size)
        count -= size


async def _settle(tally: Tally, probes: int) -> None:
    """Until every letter has come, or none has for a while."""
    seen, since = -1, time.monotonic()
    while tally.outstanding or tally.probes[NATS] < probes:
        if tally.letters != seen:
            seen, since = tally.letters, time.monotonic()
        if time.monotonic() - since > SETTLE_SECONDS:
            return
        await asyncio.sleep(0.1)


def _close_books(tally: Tally, nats_probes: int, suite: Suite) -> None:
    if missing := tally.outstanding.total():
        tally.miss(f"nats: {missing} messages have no dead letter")
        tally.miss_count += missing - 1
    if tally.probes[NATS] != nats_probes:
        tally.miss(f"nats: {tally.probes[NATS]} of {nats_probes} valid events are in the log")
    if not tally.probes[GRPC]:
        tally.miss("grpc: no valid event was accepted")
    if not suite.service("ingestion").running:
        tally.miss("the ingestion service is not running any more")


async def _watch_memory(suite: Suite, report: Report) -> None:
    started = time.monotonic()
    process = _service_process(suite)
    while True:
        report.memory.append((time.monotonic() - started, process.memory_info().rss / MIB))
        await asyncio.sleep(0.5)


def _service_process(suite: Suite) -> psutil.Process:
    """The process that holds the memory: the launcher's leash stands before it."""
    return max(family(suite.service("ingestion").pid), key=lambda process: process.memory_info().rss)
