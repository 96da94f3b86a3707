"""Whether anything was left behind: stuck consumers, processes, memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
from nats.aio.client import Client

from shared.adapters.jetstream.streams import Names, api
from tests.chaos.check import Check
from tests.chaos.injector import Injector
from tests.chaos.plan import SERVICES
from tests.conditions import eventually

CONSUMERS_SECONDS = 60.0
"""A consumer whose reader died goes after 30 s."""
MEMORY_MIB = 400
SAMPLE_SECONDS = 1.0


async def no_consumer_stuck(connection: Client, names: Names) -> Check:
    """Every consumer of the log and of the door has handed out all, and somebody asks it for more."""
    consumers: list[dict[str, Any]] = []

    async def all_idle() -> bool:
        consumers[:] = await _consumers(connection, names)
        return not any(map(_stuck, consumers))

    try:
        await eventually(all_idle, timeout=CONSUMERS_SECONDS)
    except AssertionError:
        stuck = {each["name"]: each for each in consumers if _stuck(each)}
        return Check(5, "no consumer stuck", f"{len(stuck)} of {len(consumers)} stuck", stuck)
    return Check(5, "no consumer stuck", f"{len(consumers)} consumers, all at the end, all being read")


async def _consumers(connection: Client, names: Names) -> list[dict[str, Any]]:
    streams = (names.events, names.stream("INGEST"))
    answers = [await api(connection, f"CONSUMER.LIST.{stream}", {}) for stream in streams]
    return [consumer for answer in answers for consumer in answer["consumers"]]


def _stuck(consumer: dict[str, Any]) -> bool:
    return bool(consumer["num_pending"] or consumer["num_ack_pending"] or not consumer["num_waiting"])


class Memory:
    """Watches how much memory the services take."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self.most_mib: dict[str, float] = defaultdict(float)

    async def run(self) -> None:
        """Look every so often until cancelled."""
        while True:
            for name in SERVICES:
                self._look(name)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _look(self, name: str) -> None:
        try:
            mib = psutil.Process(self._injector.pid_of(name)).memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            return
        self.most_mib[name] = max(self.most_mib[name], mib)

    def check(self) -> Check:
        """No service ever took more than MEMORY_MIB."""
        figures = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in sorted(self.most_mib.items()))
        wrong = {name: mib for name, mib in self.most_mib.items() if mib > MEMORY_MIB}
        return Check(5, f"memory of each service <= {MEMORY_MIB} MiB", f"at most {figures}", wrong)


def no_process_left(pids: set[int], directory: Path) -> Check:
    """After the end of the suite none of its processes is there, nor one that works in its directory."""
    left = {pid for pid in pids if psutil.pid_exists(pid)}
    left |= {
        each.pid
        for each in psutil.process_iter(["cwd"])
        if (each.info["cwd"] or "").startswith(str(directory))
    }
    wrong = {"pids": sorted(left)} if left else {}
    return Check(5, "no process leaked", f"{len(pids)} processes started, {len(left)} left", wrong)
