"""Carries a plan of faults out, and restarts what ended, as a supervisor would."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from deploy.local.errors import LauncherError
from deploy.local.server import Server
from deploy.local.suite import Suite
from tests.chaos.plan import SERVICES, Fault

FAULTS_AT_ONCE = 3
COME_BACK_SECONDS = 90.0
START_PAUSE_SECONDS = 0.2


@dataclass
class FaultRecord:
    """What was done, by process. back_seconds: the longest time from the first try to start it to SERVING, whatever
    else was down meanwhile. self_ended: deaths that nobody ordered. failed_starts: starts that ended by themselves."""

    kills: Counter[str] = field(default_factory=Counter)
    kills_at_start: Counter[str] = field(default_factory=Counter)
    pauses: Counter[str] = field(default_factory=Counter)
    back_seconds: dict[str, float] = field(default_factory=dict)
    self_ended: list[str] = field(default_factory=list)
    failed_starts: list[str] = field(default_factory=list)
    not_back: list[str] = field(default_factory=list)

    @property
    def total_kills(self) -> int:
        """Kills of all processes."""
        return self.kills.total()


class Injector:
    """The faults of one run."""

    def __init__(self, suite: Suite) -> None:
        self.record = FaultRecord()
        self.pids: set[int] = set()
        self._suite = suite
        self._servers: dict[str, Server] = {name: suite.service(name) for name in SERVICES}
        assert suite.brokers.nats is not None and suite.brokers.postgres is not None
        self._servers |= {"nats": suite.brokers.nats, "postgres": suite.brokers.postgres}
        self._turns = {name: asyncio.Lock() for name in self._servers}
        self._at_once = asyncio.Semaphore(FAULTS_AT_ONCE)
        self._note_pids()

    async def run(self, faults: Sequence[Fault], until: float) -> None:
        """Inject until the plan is done or the clock (time.monotonic) says `until`; then everything runs again."""
        async with self._supervised(), asyncio.TaskGroup() as under_way:
            for fault in faults:
                await asyncio.sleep(fault.gap_seconds)
                await self._at_once.acquire()
                if time.monotonic() > until:
                    return
                under_way.create_task(self._inject(fault))

    async def kill_once_more(self, name: str) -> None:
        """Kill and start one process, at rest."""
        await self._kill(Fault("kill", name, 0.0, 0.0))

    async def _inject(self, fault: Fault) -> None:
        try:
            async with self._turns[fault.target]:
                await (self._kill(fault) if fault.kind == "kill" else self._pause(fault))
        finally:
            self._at_once.release()

    async def _kill(self, fault: Fault) -> None:
        server = self._servers[fault.target]
        await server.sigkill()
        self.record.kills[fault.target] += 1
        await asyncio.sleep(fault.away_seconds)
        if fault.dies_again_seconds:
            await self._kill_at_start(server, fault.dies_again_seconds)
        await self._start(server)

    async def _kill_at_start(self, server: Server, after_seconds: float) -> None:
        starting = asyncio.create_task(server.start())
        await asyncio.wait([starting], timeout=after_seconds)
        if server.running:
            await server.sigkill()
            self.record.kills[server.name] += 1
            self.record.kills_at_start[server.name] += 1
        with contextlib.suppress(LauncherError):
            await starting
        if server.running:
            await server.sigkill()

    async def _start(self, server: Server) -> None:
        began = time.monotonic()
        while time.monotonic() < began + COME_BACK_SECONDS:
            try:
                await server.start()
            except LauncherError as error:
                self.record.failed_starts.append(str(error))
                await asyncio.sleep(START_PAUSE_SECONDS)
                continue
            seconds = time.monotonic() - began
            longest = self.record.back_seconds
            longest[server.name] = max(longest.get(server.name, 0.0), seconds)
            return self._note_pids()
        self.record.not_back.append(server.name)

    async def _pause(self, fault: Fault) -> None:
        server = self._servers[fault.target]
        server.pause()
        self.record.pauses[fault.target] += 1
        try:
            await asyncio.sleep(fault.away_seconds)
        finally:
            server.resume()

    @asynccontextmanager
    async def _supervised(self) -> AsyncIterator[None]:
        """Meanwhile what ends by itself is noted and started again."""
        watching = asyncio.create_task(self._supervise())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            for name, server in self._servers.items():
                async with self._turns[name]:
                    if not server.running:
                        await self._start(server)

    async def _supervise(self) -> None:
        while True:
            death = await self._suite.death()
            self.record.self_ended.append(str(death))
            async with self._turns[death.name]:
                if not self._servers[death.name].running:
                    await self._start(self._servers[death.name])

    def _note_pids(self) -> None:
        self.pids |= {server.pid for server in self._servers.values()}

    def pid_of(self, name: str) -> int:
        """The process of now."""
        return self._servers[name].pid
