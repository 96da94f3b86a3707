"""A NATS cluster for each test: a test may kill any part of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.cluster.nodes import Cluster, nats_cluster


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(tmp_path) -> AsyncIterator[Cluster]:
    async with nats_cluster(tmp_path / "cluster") as running:
        yield running
