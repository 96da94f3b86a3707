"""A module as `ForkServer` runs it: each job is to write itself into a file, and to tell who did it."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from shared.runtime.fork_server import serve
from shared.runtime.leash import Leash

STAY, BUSY = b"stay\n", b"busy\n"


def tell(descriptors: Sequence[int]) -> None:
    """Who it is and what forked it; jobs that are to stay or be busy end by the leash alone."""
    leash = Leash(descriptors[0])
    for file in descriptors[1:]:
        os.write(file, leash.job)
    leash.tell(f"{os.getpid()} {os.getppid()}\n".encode())
    while leash.job == STAY:
        signal.pause()
    while leash.job == BUSY:
        pass


if __name__ == "__main__":
    serve(tell)
