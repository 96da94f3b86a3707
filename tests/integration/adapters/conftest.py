"""Real brokers, started once; each test has a namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.local.brokers import Brokers, BrokerSettings, local_brokers
from shared.adapters.jetstream.log_writer import LogWriter
from tests.integration.namespaces import Namespace, new_namespace


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def brokers(tmp_path_factory) -> AsyncIterator[Brokers]:
    async with local_brokers(BrokerSettings(directory=tmp_path_factory.mktemp("adapters"))) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def space(brokers) -> AsyncIterator[Namespace]:
    async with new_namespace(brokers) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def writer(space) -> AsyncIterator[LogWriter]:
    """A log writer at work."""
    made = LogWriter(space.nats)
    work = asyncio.create_task(made.run())
    yield made
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
