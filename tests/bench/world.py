"""A running suite with a catalogue, users with full histories and a model: what most rows are measured on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from deploy.local.ports import free_ports
from deploy.local.suite import Suite, SuiteSettings, local_suite
from freshet.catalog.v1.item_pb2 import Item
from freshet.ranking.v1.ranking_pb2 import RecommendRequest, RecommendResponse
from shared.adapters.codecs.bundle import Bundle
from shared.adapters.jetstream.bundle_store import bundle_store
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.database import database_engine
from shared.adapters.postgres.registry import RegisteredModel, Registry, announce
from shared.client import Addresses, FreshetClient, user_event
from tests.bench import model
from tests.bench.result import BenchError, say
from tests.bench.sizes import DOMAIN, HISTORY

NAMESPACE = "bench"
SERVICES = ("ingestion", "feature", "ranking")
ITEMS = 3_700
USERS = 8
PAGE = 20
BATCH = 500
_ITEMS_AT_ONCE = 1_000
_STATUS_SECONDS = 60.0


@dataclass
class World:
    """What rows measure. bundle: of the model in service; registry, nats, client: connected."""

    suite: Suite
    directory: Path
    nats: Client
    registry: Registry
    client: FreshetClient
    bundle: Bundle

    @property
    def names(self) -> Names:
        """Names in NATS."""
        return Names(NAMESPACE)

    async def add_items(self, item_ids: Sequence[str]) -> None:
        """Put items into the catalogue."""
        for start in range(0, len(item_ids), _ITEMS_AT_ONCE):
            some = item_ids[start : start + _ITEMS_AT_ONCE]
            await self.client.upsert_items([Item(item_id=each, title=each) for each in some])

    async def store(self, bundle: Bundle) -> RegisteredModel:
        """Put a bundle where ranking finds it."""
        content, row = model.packed(bundle)
        await bundle_store("nats", self.nats, self.names).put(row.bundle_digest, content)
        return row

    async def promote(self, row: RegisteredModel) -> None:
        """Make a stored model the champion and wait until it serves."""
        await self.registry.register(row)
        await announce(self.nats, self.names, model.promotion(row))
        deadline = time.monotonic() + _STATUS_SECONDS
        while (await self.client.get_model_status()).serving.model_version != row.model_version:
            if time.monotonic() > deadline:
                raise BenchError(f"model {row.model_version} does not come into service")
            await asyncio.sleep(0.02)

    async def recommend(self, user: str) -> RecommendResponse:
        """A whole page by the model. Raises BenchError for less."""
        answer = await self.client.recommend(user, page_size=PAGE)
        if answer.degraded or len(answer.results) != PAGE:
            raise BenchError(f"{user} got {len(answer.results)} items, degraded {list(answer.degraded)}")
        return answer


def users() -> list[str]:
    """Users with a full history."""
    return [f"user-{number}" for number in range(USERS)]


def request_of(user: str) -> bytes:
    """The request that rows measure, serialised."""
    return RecommendRequest(user_id=user, placement="home", page_size=PAGE).SerializeToString()


def item_ids(count: int) -> list[str]:
    """Ids of items."""
    return [f"item-{number}" for number in range(count)]


@asynccontextmanager
async def running_world(directory: Path, ranking: Mapping[str, str] | None = None) -> AsyncIterator[World]:
    """A world of `ITEMS` items and `USERS` users. ranking: extra variables of that service. Raises LauncherError,
    BenchError."""
    say("starting brokers and services")
    async with AsyncExitStack() as stack:
        suite = await stack.enter_async_context(local_suite(_settings(directory, ranking or {})))
        nats = await stack.enter_async_context(nats_connection(suite.nats_url, "bench"))
        engine = await stack.enter_async_context(database_engine(suite.database_url, NAMESPACE, "bench"))
        addresses = Addresses(**{name: suite.address(name) for name in SERVICES})
        client = await stack.enter_async_context(FreshetClient(addresses))
        say("exporting an untrained encoder")
        bundle = await asyncio.to_thread(model.untrained, item_ids(ITEMS), directory)
        world = World(suite, directory, nats, Registry(engine), client, bundle)
        await _fill(world)
        yield world


def _settings(directory: Path, ranking: Mapping[str, str]) -> SuiteSettings:
    return SuiteSettings.on_free_ports(
        directory=directory,
        namespace=NAMESPACE,
        domain=DOMAIN,
        services=SERVICES,
        log_level="warning",
        environment={"ranking": ranking},
        metrics_ports=dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True)),
    )


async def _fill(world: World) -> None:
    say(f"{ITEMS:,} items, {USERS} users with {HISTORY} events each, one model")
    await world.add_items(item_ids(ITEMS))
    events = [
        user_event("rate", user, [f"item-{(37 * number + 11 * step) % ITEMS}"])
        for step in range(HISTORY)
        for number, user in enumerate(users())
    ]
    written = await world.client.batch_write_user_events(events)
    await world.promote(await world.store(world.bundle))
    await asyncio.sleep(1.0)  # until the model's view of the catalogue is up to date
    await world.client.get_user_features(users()[-1], written.consistency_token)
    for user in users():
        await world.recommend(user)
