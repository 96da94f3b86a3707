"""The connection to NATS of commands that look at the log itself."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client

from services.console.failures import CommandFailed
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import StreamError

CONNECT_SECONDS = 5.0


@asynccontextmanager
async def log_connection(url: str) -> AsyncIterator[Client]:
    """A connection to NATS. Raises CommandFailed when it is away, also while the context lasts."""
    _quiet_logs()
    async with AsyncExitStack() as stack:
        connection = await _connected(stack, url)
        try:
            yield connection
        except (nats.errors.Error, nats.js.errors.Error, StreamError) as error:
            raise CommandFailed(f"the log at {url} cannot be read: {error!r}") from error


async def _connected(stack: AsyncExitStack, url: str) -> Client:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await stack.enter_async_context(nats_connection(url, "console"))
    except (TimeoutError, OSError, nats.errors.Error) as error:
        raise CommandFailed(f"no NATS at {url}: set FRESHET_NATS_URL") from error


def _quiet_logs() -> None:
    """Stdout is for the result; of what the adapters log only errors are told."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
