"""A namespace of its own for each test, on brokers that all tests share."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.brokers import Brokers
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names, api, ensure_streams
from shared.adapters.postgres.database import database_engine, ensure_tables
from shared.domain.retention import DAY_SECONDS, MIB, Limit, Retention
from shared.domain.stream_settings import StreamSettings

_numbers = itertools.count(1)
SMALL = Retention(Limit(64 * MIB, 0), Limit(64 * MIB, 0), Limit(64 * MIB, 7 * DAY_SECONDS))
"""NATS sets the space aside, and there are many namespaces."""
SMALL_SETTINGS = {
    "rejected_max_bytes": str(SMALL.rejected.max_bytes),
    "exposures_max_bytes": str(SMALL.exposures.max_bytes),
    "deltas_max_bytes": str(SMALL.deltas.max_bytes),
}
"""The same as services are told it: FRESHET_... variables without the prefix, in lower case."""


@dataclass
class Namespace:
    """Streams and tables with nothing in them, and the connections to them."""

    brokers: Brokers
    nats: Client
    engine: AsyncEngine
    name: str

    @property
    def names(self) -> Names:
        """Names in NATS."""
        return Names(self.name)


@asynccontextmanager
async def new_namespace(brokers: Brokers, window_seconds: float = 120.0) -> AsyncIterator[Namespace]:
    """Made for one test."""
    name = f"test{next(_numbers)}"
    async with (
        nats_connection(brokers.nats_url, "test") as nats,
        database_engine(brokers.database_url, name, "test") as engine,
    ):
        await ensure_streams(nats, Names(name), StreamSettings(window_seconds, retention=SMALL))
        await ensure_tables(engine, name)
        yield Namespace(brokers, nats, engine, name)


@asynccontextmanager
async def takes_nothing(nats: Client, stream: str) -> AsyncIterator[None]:
    """Meanwhile a stream refuses every message, as one does that is full."""
    config = (await api(nats, f"STREAM.INFO.{stream}"))["config"]
    await _configured(nats, {**config, "max_msg_size": 1})
    yield
    await _configured(nats, config)


async def _configured(nats: Client, config: dict[str, object]) -> None:
    answer = await api(nats, f"STREAM.UPDATE.{config['name']}", config)
    assert "error" not in answer, answer["error"]
