"""The log and the database, for commands that look at what is stored instead of asking a service."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.console.failures import CommandFailed
from shared.adapters.connection import nats_connection
from shared.adapters.database import UNAVAILABLE, database_engine
from shared.adapters.streams import Names, StreamError
from shared.runtime.settings import ServiceSettings, read_settings

CONNECT_SECONDS = 5.0
_DATABASE_VARIABLE = "FRESHET_DATABASE_URL"


@dataclass(frozen=True)
class Stores:
    """Connections to one namespace, whose log has `partitions`."""

    connection: Client
    engine: AsyncEngine
    names: Names
    partitions: int


@asynccontextmanager
async def stores() -> AsyncIterator[Stores]:
    """Those that FRESHET_NATS_URL, FRESHET_DATABASE_URL and FRESHET_NAMESPACE name, or those of the run on this
    machine. Raises CommandFailed when one is away, also while the context lasts."""
    _quiet_logs()
    settings = read_settings(ServiceSettings)
    if _DATABASE_VARIABLE not in os.environ:
        settings.database_url = _local_database_url() or settings.database_url
    async with AsyncExitStack() as stack:
        connection = await _connected(stack, settings.nats_url)
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "console")
        )
        try:
            yield Stores(connection, engine, Names(settings.namespace), settings.partitions)
        except (nats.errors.Error, nats.js.errors.Error, StreamError) as error:
            raise CommandFailed(f"the log at {settings.nats_url} cannot be read: {error!r}") from error
        except UNAVAILABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CommandFailed(f"PostgreSQL cannot be read; set {_DATABASE_VARIABLE}: {reason}") from error


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


def _local_database_url() -> str | None:
    """The database that the launcher runs on this machine; None where there is no launcher or no such run."""
    try:
        from deploy.local.ports import PortRequest
        from deploy.local.postgres_server import PORT_VARIABLE, PostgresServer
        from deploy.local.settings import SuiteSettings
    except ModuleNotFoundError:  # a machine that has the console alone
        return None
    local = SuiteSettings.from_environment()
    server = PostgresServer(local.directory / "postgres", PortRequest(local.postgres_port, PORT_VARIABLE))
    try:
        return server.url
    except FileNotFoundError:
        return None
