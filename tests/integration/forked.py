"""Services and commands forked from a process that has imported them.

To start Python and to import takes two seconds of processor time, a fork some hundredths, and these tests start
services three hundred times. What is forked does what `python -m services.NAME` does, in a process of its own that is
killed as any other. The end-to-end tests and the launcher's start services by their command.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from deploy.local.process import Launch, Process
from deploy.local.settings import SERVICES

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["services.console.cli", *(f"services.{name}.main" for name in SERVICES)])


async def forked(launch: Launch) -> Process:
    """A `deploy.local.process.Starter` for commands `python -m services.NAME`."""
    module, environment = launch.command[-1], {**os.environ, **launch.env}
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    process = _context.Process(
        target=_become, args=(module, launch.log, launch.cwd, environment), daemon=True
    )
    await asyncio.to_thread(process.start)
    return _Forked(process)


class _Forked:
    def __init__(self, process: ForkServerProcess) -> None:
        self._process, self._ended = process, asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        await self._ended.wait()
        return self._process.exitcode or 0

    def send_signal(self, number: int, /) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended since it was looked at
            os.kill(self.pid, number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._ended.set()


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


async def freshet(arguments: Sequence[str], stdin: str, environment: Mapping[str, str]) -> Ended:
    """What `python -m services.console` does with these arguments."""
    with TemporaryDirectory() as directory:
        read, *written = (Path(directory) / name for name in ("stdin", "stdout", "stderr"))
        read.write_text(stdin)
        command = (arguments, read, written, {**os.environ, **environment})
        process = _context.Process(target=_command, args=command, daemon=True)
        await asyncio.to_thread(process.start)
        code = await _Forked(process).wait()
        return Ended(code, *(file.read_text() for file in written))


def _become(module: str, log: Path, directory: Path, environment: Mapping[str, str]) -> None:
    os.setsid()
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    _write_to([log, log])
    os.chdir(directory)
    _run(module, environment)


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests is not None
    multiprocessing.connection.wait([tests.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _command(
    arguments: Sequence[str], read: Path, written: Sequence[Path], environment: Mapping[str, str]
) -> None:
    sys.stdin = read.open()
    sys.argv[1:] = arguments
    _write_to(written)
    _run("services.console", environment)


def _write_to(files: Sequence[Path]) -> None:
    for stream, file in zip((sys.stdout, sys.stderr), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream.fileno())
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]


def _run(module: str, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
