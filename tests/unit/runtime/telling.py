"""A module as `ForkServer` runs it: each job is to write itself into a file, and to tell who did it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from shared.runtime.fork_server import serve
from shared.runtime.leash import Leash

STAY = b"stay\n"


def tell(descriptors: Sequence[int]) -> None:
    """Who it is and what forked it; a job that is to stay ends by its leash alone."""
    leash = Leash(descriptors[0])
    for file in descriptors[1:]:
        os.write(file, leash.job)
    leash.tell(f"{os.getpid()} {os.getppid()}\n".encode())
    while leash.job == STAY:
        time.sleep(60)


if __name__ == "__main__":
    serve(tell)
