"""Other traffic: `python -m tests.bench.traffic ADDRESS RATE ITEMS` writes RATE events a second to ingestion.

Open loop: an event that waits holds up none after it. Ends when stdin does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from shared.client import Addresses, FreshetClient, user_event
from tests.bench.result import BenchError

USERS = 500


async def send(address: str, rate: float, items: int) -> None:
    """Write until cancelled."""
    under_way: set[asyncio.Task] = set()
    async with FreshetClient(Addresses(ingestion=address)) as client:
        started = time.monotonic()
        try:
            for number in count():
                event = user_event("click", f"passer-by-{number % USERS}", [f"item-{number % items}"])
                task = asyncio.create_task(client.write_user_event(event))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        finally:
            await asyncio.gather(*under_way)  # before the client is closed


async def main(address: str, rate: str, items: str) -> None:
    """Write until stdin ends."""
    sending = asyncio.create_task(send(address, float(rate), int(items)))
    await asyncio.to_thread(sys.stdin.read)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending


@asynccontextmanager
async def other_traffic(address: str, rate: int, items: int) -> AsyncIterator[None]:
    """Traffic from a process of its own while the context lasts. Raises BenchError when it ended before."""
    command = [sys.executable, "-m", "tests.bench.traffic", address, str(rate), str(items)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    try:
        yield
        if process.returncode is not None:
            raise BenchError(f"the other traffic ended with code {process.returncode}")
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
