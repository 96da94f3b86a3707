"""One NATS connection per process, which never gives up reconnecting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import structlog
from nats.aio.client import Client

_log = structlog.get_logger("nats")


@asynccontextmanager
async def nats_connection(url: str, name: str) -> AsyncIterator[Client]:
    """Connect to one of the servers in `url`, separated by commas, waiting for it to come up; flush and close on exit.

    The log's readers and writers open wires of their own, to the servers that this connection knows.
    """
    connection = await nats.connect(
        [each.strip() for each in url.split(",")],
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,
        ping_interval=5,
        max_outstanding_pings=2,
        allow_reconnect=True,
        error_cb=_on_error,
        disconnected_cb=_on_disconnected,
        reconnected_cb=_on_reconnected,
        pending_size=64 * 1024 * 1024,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _on_error(error: Exception) -> None:
    _log.warning("nats error", error=str(error) or type(error).__name__)


async def _on_disconnected() -> None:
    _log.warning("nats connection lost")


async def _on_reconnected() -> None:
    _log.info("nats connection is back")
