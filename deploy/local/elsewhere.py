"""Brokers that were not started here: whether they answer, before services are started that would wait for them."""

import asyncpg
import nats.errors

from deploy.local.errors import BrokerAway
from deploy.local.settings import BrokerSettings
from deploy.local.together import all_or_error
from shared.adapters.jetstream.connection import try_nats

PATIENCE_SECONDS = 5.0


async def check_brokers(settings: BrokerSettings) -> None:
    """Raises BrokerAway for the first of the URLs that nobody answers at, or where the user is not let in."""
    checks = []
    if settings.nats_url:
        checks.append(_check_nats(settings.nats_url))
    if settings.database_url:
        checks.append(_check_postgres(settings.database_url))
    await all_or_error(*checks)


async def _check_nats(url: str) -> None:
    try:
        await try_nats(url, PATIENCE_SECONDS)
    except (OSError, TimeoutError, ValueError, nats.errors.Error) as error:
        raise BrokerAway("NATS", _places(url), _reason(error), "FRESHET_NATS_URL") from error


async def _check_postgres(url: str) -> None:
    plain = url.replace("postgresql+asyncpg://", "postgresql://", 1)  # services take both
    try:
        connection = await asyncpg.connect(plain, timeout=PATIENCE_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BrokerAway("PostgreSQL", _places(url), _reason(error), "FRESHET_DATABASE_URL") from error
    await connection.close()


def _places(url: str) -> str:
    """The servers of a URL, without its password."""
    return ",".join(each.rpartition("@")[2].rpartition("//")[2].partition("/")[0] for each in url.split(","))


def _reason(error: Exception) -> str:
    return str(error) or f"no answer within {PATIENCE_SECONDS:g} s"
