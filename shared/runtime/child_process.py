"""Processes that do one job for a service, and their end.

Decision: `subprocess`, not asyncio's own processes. uvloop forks, and gRPC's fork handlers then closed the
pipes of the new process in one of twenty starts under calls; `subprocess` starts by vfork, which runs no
such handlers. One pair of sockets carries the job out and reports back; its end is the leash.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

ENV_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What tells numerical libraries how many threads they have."""
_ENV_WAITING = {"GOMP_SPINCOUNT": "1000"}
"""How long a thread of OpenMP spins for the others, where the environment does not say. By itself it takes a processor
from those that it waits for: steps of training took 103 to 118 ms beside one busy process and 320 beside three, so 76
to 79 and 132 to 139; where nothing else runs, 32 to 37 and 34 to 40."""
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Child:
    """A process that has been told its job. lines: what it says; reading them may end in ConnectionResetError, when it
    died with the job unread."""

    lines: asyncio.StreamReader
    _process: subprocess.Popen[bytes]

    async def exit_code(self) -> int:
        """Once it has ended."""
        return await asyncio.to_thread(self._process.wait)


@asynccontextmanager
async def child_process(
    module: str, job: bytes, threads: int = 1, descriptors: Sequence[int] = ()
) -> AsyncIterator[Child]:
    """A process that runs `python -m module CHANNEL` and ends with the context, for whatever reason that is left.

    CHANNEL is the descriptor of the socket on which the job, one line, comes. threads: of its numerical libraries.
    descriptors: of this process, which it has as well, by the same numbers.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = start(module, threads, [theirs.fileno(), *descriptors])
    try:
        async with conversation(ours, job) as lines:
            yield Child(lines, process)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def conversation(channel: socket.socket, job: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """What the process at the other end of a channel says after it was told its job. The channel ends with the context,
    and so does whoever has a leash at its other end."""
    lines, writer = await asyncio.open_connection(sock=channel, limit=_LONGEST_LINE)
    try:
        writer.write(job)
        yield lines
    finally:
        writer.close()


def start(module: str, threads: int, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    """`python -m module` with the first descriptor as its argument, and all of them by the same numbers."""
    return subprocess.Popen(
        [sys.executable, "-m", module, str(descriptors[0])],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        env={**_ENV_WAITING, **os.environ, **dict.fromkeys(ENV_THREADS, str(threads))},
        start_new_session=True,
    )
