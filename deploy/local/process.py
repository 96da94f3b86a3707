"""One child process: started on a leash, watched until ready, and ended by its process id."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from deploy.local.directory import opened
from deploy.local.errors import EndedEarly, StartFailed

LEASH = Path(__file__).with_name("leash.py")
TAIL_LINES = 15
TAIL_BYTES = 16_384
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a child: `user` None is "as we are"; `env` is laid over our own environment."""

    name: str
    command: Sequence[str]
    log: Path
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    ready_seconds: float = 20.0
    grace_seconds: float = 10.0


class Process(Protocol):
    """The operating system's side of a child."""

    @property
    def pid(self) -> int:
        """The process id, also of one that has ended."""

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""

    async def wait(self) -> int:
        """Waits for its end and returns the exit code."""

    def send_signal(self, signal: int, /) -> None:
        """Sends a signal, while it runs."""


Starter = Callable[[Launch], Awaitable[Process]]
"""Starts a child in a session of its own, its output appended to its log, that does not outlive us. Raises OSError,
LauncherError."""


class Child:
    """A running child. It lives in a session of its own, so Ctrl-C reaches the launcher alone. log_start: where in its
    log its own lines begin."""

    def __init__(self, launch: Launch, process: Process, log_start: int = 0) -> None:
        self.launch = launch
        self.end_was_ordered = False
        self._process, self._log_start = process, log_start

    @property
    def pid(self) -> int:
        """The process id, also of a child that has ended."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.returncode is None

    async def wait(self) -> int:
        """Waits for its end and returns the exit code."""
        return await self._process.wait()

    async def ready(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """Polls `probe` until True. Raises EndedEarly if the child ends first, StartFailed if `ready_seconds` pass."""
        deadline = time.monotonic() + self.launch.ready_seconds
        while not await probe():
            if self.returncode is not None:
                raise EndedEarly(self.launch.name, self.returncode, self.log_tail())
            if time.monotonic() > deadline:
                within = f"{self.launch.ready_seconds:g} s"
                raise StartFailed(f"{self.launch.name} was not ready within {within}\n{self.log_tail()}")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self, polite: signal.Signals = signal.SIGTERM) -> int:
        """Sends `polite`, waits `grace_seconds`, then SIGKILL. Returns the exit code."""
        self.end_was_ordered = True
        self.resume()
        self._send(polite)
        try:
            return await asyncio.wait_for(self.wait(), self.launch.grace_seconds)
        except TimeoutError:
            return await self.sigkill()

    async def sigkill(self) -> int:
        """Ends it at once, as a crash would, and returns when it is gone."""
        self.end_was_ordered = True
        self._send(signal.SIGKILL)
        return await self.wait()

    def pause(self) -> None:
        """Freezes it and its own children: connections stay open and nothing answers."""
        self._send_tree(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused child go on; nothing happens to one that runs or has ended."""
        self._send_tree(signal.SIGCONT)

    def log_tail(self) -> str:
        """The last lines of its log, headed by the log's path; none of an earlier start, which may have failed of
        something else."""
        return tail(self.launch.log, self._log_start)

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            self._process.send_signal(number)

    def _send_tree(self, number: signal.Signals) -> None:
        if not self.running:
            return
        for process in family(self.pid):
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue  # it ended between the listing and the signal, as a connection's process may


async def executed(launch: Launch) -> Process:
    """Starts the command on a leash. Raises OSError, and DirectoryUnusable where its log cannot be written.

    The leash is tied to the calling thread: on Linux a child also ends when the thread that started it does.
    """
    leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), launch.user or "-"]
    with opened(launch.log, "ab") as log:
        return await asyncio.create_subprocess_exec(
            *leash,
            *launch.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=launch.cwd,
            env={**os.environ, **launch.env},
            start_new_session=True,
        )


async def spawn(launch: Launch, starter: Starter = executed) -> Child:
    """Starts a child. Raises OSError, LauncherError."""
    log_start = launch.log.stat().st_size if launch.log.exists() else 0
    return Child(launch, await starter(launch), log_start)


async def run(launch: Launch) -> None:
    """Runs a command to its end. Raises StartFailed with its log if it does not exit with 0."""
    child = await spawn(launch)
    try:
        code = await asyncio.wait_for(child.wait(), launch.ready_seconds)
    finally:
        await child.sigkill()
    if code != 0:
        raise StartFailed(f"{launch.name} ended with code {code}\n{child.log_tail()}")


def family(pid: int) -> list[psutil.Process]:
    """The process and all that descend from it; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def tail(log: Path, start: int) -> str:
    """The last lines of a log file from the byte `start` on, headed by its path; says so if there is none."""
    if not log.exists():
        return f"{log} does not exist"
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join([f"last lines of {log}:", *(f"  {line}" for line in lines)])
