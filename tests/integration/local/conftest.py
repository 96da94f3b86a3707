"""Builders for tests of the launcher: stand-in services, free ports, waiting for a condition."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from deploy.local.suite import SuiteSettings

HERE = Path(__file__).parent
WITHIN_SECONDS = 15.0


async def eventually(condition: Callable[[], bool], within: float = WITHIN_SECONDS) -> None:
    """Returns when the condition holds. Fails the test if it does not within `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not become true within {within:g} s"
        await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether no process has this id, or only one that has ended and waits to be collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def stand_in(service: str) -> list[str]:
    """The command of a tiny gRPC health server that obeys STAND_IN in its environment."""
    return [sys.executable, str(HERE / "stand_in.py"), service]


def without_brokers(directory: Path, **chosen: object) -> SuiteSettings:
    """A suite of stand-ins that starts no brokers: its URLs lead nowhere and nobody connects."""
    urls = {"nats_url": "nats://127.0.0.1:1", "database_url": "postgresql://127.0.0.1:1/none"}
    defaults = {"directory": directory, "command": stand_in, "ready_seconds": 20.0, **urls}
    return SuiteSettings.on_free_ports(**{**defaults, **chosen})
