"""What brokers and services have in common: start, stop, restart, and the faults that tests inject."""

import asyncio
import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from deploy.local.errors import LauncherError, StartFailed
from deploy.local.process import POLL_SECONDS, Child, Launch, Starter, executed, spawn

ORPHAN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Death:
    """A server that ended without being told to; a negative code is the signal that ended it."""

    name: str
    returncode: int
    log_tail: str

    def __str__(self) -> str:
        return f"{self.name} ended by itself with code {self.returncode}\n{self.log_tail}"


class Server(ABC):
    """A server process that can be started again on the same port and data after it was stopped or killed."""

    polite_signal = signal.SIGTERM

    def __init__(self, name: str, starter: Starter = executed) -> None:
        self.name, self._starter = name, starter
        self.on_death: Callable[[Death], None] | None = None
        self._child: Child | None = None
        self._watcher: asyncio.Task[None] | None = None

    @abstractmethod
    async def prepare(self) -> Launch:
        """Makes the start possible (data, configuration, port) and says how. Raises LauncherError."""

    @abstractmethod
    async def probe(self) -> bool:
        """Whether it serves now."""

    @property
    def child(self) -> Child:
        """The current or last process. Raises LauncherError before the first start."""
        if self._child is None:
            raise LauncherError(f"{self.name} was never started")
        return self._child

    @property
    def pid(self) -> int:
        """The process id of the current or last process."""
        return self.child.pid

    @property
    def running(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._child is not None and self._child.running

    async def start(self, *, patiently: bool = False) -> None:
        """Starts it and returns when it serves; `patiently`: however long that takes.

        Raises LauncherError if it runs already or fails to, EndedEarly if it ends before it serves.
        """
        if self.running:
            raise LauncherError(f"{self.name} runs already as pid {self.pid}")
        launch = await self.prepare()
        if patiently:
            launch = replace(launch, ready_seconds=math.inf)
        self._child = await spawn(launch, self._starter)
        try:
            await self._child.ready(self.probe)
        except BaseException:
            await self._child.sigkill()
            raise
        self._watcher = asyncio.create_task(self._watch(self._child), name=f"watch {self.name}")

    async def stop(self) -> None:
        """Ends it politely, by force after its grace; nothing happens if it does not run."""
        if self.running:
            await self.child.stop(self.polite_signal)
        await self._watched()

    async def sigkill(self) -> None:
        """Ends it as a crash would (kill -9) and returns when it is gone."""
        await self.child.sigkill()
        await self._watched()

    def pause(self) -> None:
        """Freezes it: connections stay open and nothing answers."""
        self.child.pause()

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self.child.resume()

    async def _watch(self, child: Child) -> None:
        code = await child.wait()
        if self.on_death and not child.end_was_ordered:
            self.on_death(Death(self.name, code, child.log_tail()))

    async def _watched(self) -> None:
        if self._watcher:
            await self._watcher


def processes_in(directory: Path, name: str) -> Iterator[psutil.Process]:
    """Processes of this name that work in `directory`; those we may not look into are not ours."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != name:
            continue
        try:
            if process.cwd() == str(directory):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


async def end_leftovers(directory: Path, name: str) -> None:
    """Ends what an earlier, killed server left running in its directory. Raises StartFailed if it stays.

    Only for the holder of the directory's lock: nobody else has a server there.
    """
    deadline = time.monotonic() + ORPHAN_SECONDS
    while leftovers := list(processes_in(directory, name)):
        if time.monotonic() > deadline:
            raise StartFailed(f"{name} of an earlier run does not end: pid {[p.pid for p in leftovers]}")
        for process in leftovers:
            process.kill()
        await asyncio.sleep(POLL_SECONDS)
