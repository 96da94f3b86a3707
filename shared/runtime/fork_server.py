"""Processes that do one short job each, forked from one that has imported everything.

Decision: to start Python and import was half of the work of loading a model. What forks is a process of its own with
one thread, that does nothing else: a fork of the service would take along gRPC's threads and the locks they hold.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from shared.runtime.child_process import conversation, start
from shared.runtime.pacing import pace

_MOST_DESCRIPTORS = 16
_WHOLE = 100
"""Shares travel as a byte, in hundredths."""


class ForkServer:
    """Runs `python -m module CHANNEL`, which calls `serve`: from the first job on, and again when it has died. threads:
    of its numerical libraries."""

    def __init__(self, module: str, threads: int = 1) -> None:
        self._module, self._threads = module, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @asynccontextmanager
    async def forked(
        self, job: bytes, descriptors: Sequence[int] = (), share: float = 1.0
    ) -> AsyncIterator[asyncio.StreamReader]:
        """What a new process says, which has been told its job, one line. It ends with the context, for whatever
        reason that is left. Reading may end in ConnectionResetError, when it died with the job unread.

        descriptors: of this process, which it has as well, by other numbers. share: of the time, in (0, 1], for which
        it is let run at most.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._ask(bytes([max(1, round(share * _WHOLE))]), [theirs.fileno(), *descriptors])
        async with conversation(ours, job) as lines:
            yield lines

    def close(self) -> None:
        """End the server; jobs under way go on."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None

    def _ask(self, share: bytes, descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._running(), [share], descriptors)
        except (BrokenPipeError, ConnectionResetError):  # it has died since
            self.close()
            socket.send_fds(self._running(), [share], descriptors)

    def _running(self) -> socket.socket:
        if self._channel is None:
            self._channel, theirs = socket.socketpair()
            with theirs:
                self._process = start(self._module, self._threads, [theirs.fileno()])
        return self._channel


def serve(work: Callable[[Sequence[int]], None]) -> None:
    """Be what forks, until the channel of the first argument ends. work: the job of a fork, which is told its
    descriptors: its own channel for `Leash`, then those it was given."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    gc.freeze()  # memory that no collection writes to stays shared with all of them
    while True:
        share, descriptors, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS)
        if not share:
            return
        if os.fork() == 0:
            channel.close()
            pace(share[0] / _WHOLE, descriptors)
            os.setsid()
            return work(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
