"""Real brokers, started once for the tests of erasures; each test has a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.local.brokers import Brokers, BrokerSettings, local_brokers
from deploy.local.suite import SuiteSettings, local_suite
from shared.client import Addresses, FreshetClient
from tests.integration.erasure.world import ErasureWorld
from tests.integration.forked import forked
from tests.integration.namespaces import Namespace, new_namespace
from tests.integration.services.conftest import Running, services


@pytest.fixture(scope="package")
def broker_directory(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("erasure")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def brokers(broker_directory) -> AsyncIterator[Brokers]:
    async with local_brokers(BrokerSettings(directory=broker_directory)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def start(brokers, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Starts services for one test: `await start("ingestion", setting="value")`."""
    async with AsyncExitStack() as stack:

        async def started(*names: str, **environment: str) -> ErasureWorld:
            told = {"erasure_settle_seconds": "0.1", **environment}
            running = await stack.enter_async_context(services(brokers, tmp_path, names, **told))
            return ErasureWorld(running.space, running)

        yield started


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def world(brokers, tmp_path_factory) -> AsyncIterator[ErasureWorld]:
    """One ingestion service for all tests that do it no harm, each with users of its own."""
    directory = tmp_path_factory.mktemp("ingestion")
    async with services(brokers, directory, ("ingestion",), erasure_settle_seconds="0.1") as running:
        yield ErasureWorld(running.space, running)


@pytest.fixture
def ann() -> str:
    """A user that no other test has."""
    return f"ann-{uuid.uuid4().hex}"


@pytest.fixture
def bob() -> str:
    """Another user that no other test has."""
    return f"bob-{uuid.uuid4().hex}"


@pytest_asyncio.fixture(loop_scope="session")
async def still_world(brokers) -> AsyncIterator[ErasureWorld]:
    """Streams and tables without any service."""
    async with new_namespace(brokers) as space:
        yield ErasureWorld(space)


@pytest_asyncio.fixture(loop_scope="session")
async def start_beside(tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a second ingestion service in the namespace of a world: `await start_beside(world)`."""
    async with AsyncExitStack() as stack:

        async def started(world: ErasureWorld) -> ErasureWorld:
            running = await stack.enter_async_context(ingestion_in(world.space, tmp_path / "beside"))
            return ErasureWorld(world.space, running)

        yield started


@asynccontextmanager
async def ingestion_in(space: Namespace, directory: Path) -> AsyncIterator[Running]:
    """An ingestion service in a namespace that is there."""
    settings = SuiteSettings.on_free_ports(
        starter=forked,
        directory=directory,
        nats_url=space.brokers.nats_url,
        database_url=space.brokers.database_url,
        namespace=space.name,
        domain="video",
        services=("ingestion",),
        environment={
            "ingestion": {"FRESHET_DRAIN_NOTICE_SECONDS": "0", "FRESHET_ERASURE_SETTLE_SECONDS": "0.1"}
        },
    )
    async with local_suite(settings) as suite:
        addresses = Addresses(ingestion=suite.address("ingestion"))
        async with FreshetClient(addresses) as client:
            yield Running(space, suite, client)
