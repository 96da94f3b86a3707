"""The log and the database, for commands that look at what is stored instead of asking a service."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from services.console.failures import CommandFailed
from services.console.local_run import local_database_url, local_nats_url
from services.console.log.log_connection import log_connection
from services.console.log.log_partitions import partitions_of
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.database import UNAVAILABLE, database_engine
from shared.runtime.settings import ServiceSettings, read_settings

_DATABASE_VARIABLE, _NATS_VARIABLE = "FRESHET_DATABASE_URL", "FRESHET_NATS_URL"


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
    machine. Raises CommandFailed when one is away, also while the context lasts, and for settings that contradict the
    log."""
    settings = _settings()
    names = Names(settings.namespace)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(log_connection(settings.nats_url))
        engine = await stack.enter_async_context(
            database_engine(settings.database_url, settings.namespace, "console")
        )
        try:
            partitions = await partitions_of(connection, names, settings.partitions)
            yield Stores(connection, engine, names, partitions)
        except nats.errors.Error:
            raise  # the log's; some are TimeoutErrors too
        except UNAVAILABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CommandFailed(f"PostgreSQL cannot be read; set {_DATABASE_VARIABLE}: {reason}") from error


def _settings() -> ServiceSettings:
    settings = read_settings(ServiceSettings)
    if _DATABASE_VARIABLE not in os.environ:
        settings.database_url = local_database_url() or settings.database_url
    if _NATS_VARIABLE not in os.environ:
        settings.nats_url = local_nats_url()
    return settings
