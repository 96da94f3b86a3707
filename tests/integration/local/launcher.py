"""A launcher for the test that kills one: starts both brokers, tells their pids, waits for ever."""

import asyncio
import sys
from pathlib import Path

from deploy.local.brokers import BrokerSettings, local_brokers


async def main() -> None:
    """Prints "NATS_PID POSTGRES_PID" once both serve."""
    async with local_brokers(BrokerSettings(directory=Path(sys.argv[1]))) as brokers:
        assert brokers.nats and brokers.postgres
        print(brokers.nats.pid, brokers.postgres.pid, flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
