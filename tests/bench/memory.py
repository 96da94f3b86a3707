"""Memory of user state: `python -m tests.bench.memory USERS` prints bytes of RSS a user."""

from __future__ import annotations

import asyncio
import gc
import sys

import numpy as np
import psutil

from shared.adapters.presets import load_preset
from shared.domain.events.event import Event, EventType, ItemReference
from shared.domain.fold.state import FoldSettings, State, fold_events
from shared.domain.users.user_state import UserStates
from shared.runtime.memory import give_back_at_once
from tests.bench.result import BenchError, Result, say
from tests.bench.sizes import DOMAIN, HISTORY

MEMORY = "user state, history of 50, 1 million users"
USERS = 1_000_000
MOST_BYTES = 1536


async def measure_memory() -> list[Result]:
    """The row of memory, taken in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.memory", str(USERS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"the process that holds the states ended with code {process.returncode}")
    size = float(output)
    say(f"memory: {size:.0f} bytes a user")
    measured = f"{size / 1024:.3f} KiB"
    return [Result(MEMORY, "<= 1.5 KiB", measured, reached=size <= MOST_BYTES, details={"bytes": size})]


def bytes_a_user(users: int) -> float:
    """RSS that `users` states with full histories add to this process, a user."""
    give_back_at_once()
    record = _full_record()
    keys = np.random.default_rng(0).integers(1, 2**64, users, np.uint64)
    before = _resident()
    states = UserStates(load_preset(DOMAIN), HISTORY)
    for key in map(int, keys):
        states.restore(key, record, b"")
    return (_resident() - before) / len(states)


def _full_record() -> bytes:
    """The stored form of a user whose history is full."""
    events = [
        Event(number, number, 1, EventType.CLICK, number, (ItemReference(number),))
        for number in range(1, HISTORY + 1)
    ]
    return fold_events(State(FoldSettings(load_preset(DOMAIN), HISTORY)), events).users.export(1)[0]


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    print(bytes_a_user(int(sys.argv[1])))
