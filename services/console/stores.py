"""The log and the database, for commands that look at what is stored instead of asking a service."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.console.failures import CommandFailed
from services.console.log_connection import log_connection
from shared.adapters.database import UNAVAILABLE, database_engine
from shared.adapters.streams import Names
from shared.runtime.settings import ServiceSettings, read_settings

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
    settings = read_settings(ServiceSettings)
    if _DATABASE_VARIABLE not in os.environ:
        settings.database_url = _local_database_url() or settings.database_url
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(log_connection(settings.nats_url))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "console")
        )
        try:
            yield Stores(connection, engine, Names(settings.namespace), settings.partitions)
        except nats.errors.Error:
            raise  # the log's; some are TimeoutErrors too
        except UNAVAILABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CommandFailed(f"PostgreSQL cannot be read; set {_DATABASE_VARIABLE}: {reason}") from error


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
