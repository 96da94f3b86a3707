"""The log and the database of a local run: started here, or somebody else's where the settings hold a URL."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from deploy.local.nats_server import NatsServer, local_nats
from deploy.local.postgres_server import PostgresServer, local_postgres
from deploy.local.settings import BrokerSettings
from deploy.local.together import all_or_error

__all__ = [
    "BrokerSettings",
    "Brokers",
    "NatsServer",
    "PostgresServer",
    "local_brokers",
    "local_nats",
    "local_postgres",
]


@dataclass(slots=True)
class Brokers:
    """Where to connect; `nats` and `postgres` are None where a given URL is used instead of an own server."""

    nats_url: str = ""
    database_url: str = ""
    nats: NatsServer | None = None
    postgres: PostgresServer | None = None


@asynccontextmanager
async def local_brokers(settings: BrokerSettings) -> AsyncIterator[Brokers]:
    """Starts the brokers that no URL is given for, and stops them at the end. Raises LauncherError."""
    brokers = Brokers()
    async with AsyncExitStack() as stack:
        await all_or_error(_nats(stack, settings, brokers), _postgres(stack, settings, brokers))
        yield brokers


async def _nats(stack: AsyncExitStack, settings: BrokerSettings, brokers: Brokers) -> None:
    if settings.nats_url:
        brokers.nats_url = settings.nats_url
        return
    server = local_nats(settings.directory, settings.nats_port, settings.nats_monitor_port)
    brokers.nats = await stack.enter_async_context(server)
    brokers.nats_url = brokers.nats.url


async def _postgres(stack: AsyncExitStack, settings: BrokerSettings, brokers: Brokers) -> None:
    if settings.database_url:
        brokers.database_url = settings.database_url
        return
    server = local_postgres(settings.directory, settings.postgres_port)
    brokers.postgres = await stack.enter_async_context(server)
    brokers.database_url = brokers.postgres.url
