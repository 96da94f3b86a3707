"""A cluster loses the server that leads the log: a pause, and nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from nats.aio.client import Client

from deploy.local.suite import Suite, SuiteSettings, local_suite
from freshet.ingestion.v1.ingestion_pb2 import WriteStatus
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.log_writer import LogWriter
from shared.adapters.jetstream.streams import Names, ensure_streams
from shared.client import Addresses, FreshetClient, FreshetError
from shared.domain.stream_settings import StreamSettings
from tests.builders import message
from tests.conditions import eventually
from tests.integration.cluster.load import BATCH, Load, at_work, reading
from tests.integration.cluster.nodes import Cluster
from tests.integration.forked import forked

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMES = Names("test")
PAUSE_SECONDS = 15.0
"""Servers take 4 to 9 seconds to call an election."""
WRITERS = 4


@pytest_asyncio.fixture(loop_scope="session")
async def nats(cluster) -> AsyncIterator[Client]:
    """A connection to a cluster with replicated streams."""
    async with nats_connection(cluster.url, "test") as connection:
        await ensure_streams(connection, NAMES, StreamSettings(replicas=3))
        yield connection


@pytest_asyncio.fixture(loop_scope="session")
async def suite(cluster, nats, tmp_path) -> AsyncIterator[Suite]:
    """An ingestion service on the cluster and a database of its own."""
    settings = SuiteSettings.on_free_ports(
        starter=forked,
        directory=tmp_path / "suite",
        nats_url=cluster.url,
        namespace=NAMES.namespace,
        services=("ingestion",),
        environment={"ingestion": {"FRESHET_REPLICAS": "3", "FRESHET_DRAIN_NOTICE_SECONDS": "0"}},
    )
    async with local_suite(settings) as running:
        yield running


async def lose_leader(cluster: Cluster, nats: Client) -> float:
    """Kill the server that leads the log; when that was."""
    leader = await eventually(lambda: cluster.leader_of(nats, NAMES.events))
    await leader.sigkill()
    return time.monotonic()


async def under_load(cluster: Cluster, nats: Client, load: Load, write) -> float:
    """Write while the leader is lost, and on for a while; how long nothing could be written."""
    writing = [asyncio.create_task(load.write(write)) for _ in range(WRITERS)]
    await eventually(lambda: len(load.times) > 50)
    killed = await lose_leader(cluster, nats)
    await eventually(lambda: load.times[-50] > killed, 2 * PAUSE_SECONDS)
    load.stopping = True
    await asyncio.gather(*writing)
    return load.longest_pause()


async def test_every_acknowledged_record_stays_at_its_position_and_readers_see_all_once(cluster, nats):
    load, writer = Load(), LogWriter(nats)
    async with at_work(writer.run), reading(nats, NAMES) as seen:
        pause = await under_load(cluster, nats, load, load.through_log(writer, NAMES))
        await eventually(lambda: len(seen) >= len(load.positions))
    assert [each.position for each in seen] == list(range(1, len(seen) + 1))
    assert {each.message_id: each.position for each in seen} == load.positions
    assert all(load.is_in_order(call) for call in load.calls)
    assert pause < PAUSE_SECONDS


async def test_ingestion_loses_no_event_that_it_acknowledged(cluster, nats, suite):
    load = Load()
    async with FreshetClient(Addresses(ingestion=suite.address("ingestion"))) as client:

        async def write(ids: list[str]) -> dict[str, int]:
            events = [message(user_id=f"user-{each}", event_id=each) for each in ids]
            try:
                outcomes = (await client.batch_write_user_events(events)).outcomes
            except FreshetError:
                return {}
            unavailable = WriteStatus.WRITE_STATUS_UNAVAILABLE
            return {each.id: each.position for each in outcomes if each.status != unavailable}

        pause = await under_load(cluster, nats, load, write)
    async with reading(nats, NAMES) as seen:
        await eventually(lambda: len(seen) >= len(load.positions))
    assert len(load.calls) * BATCH == len(load.positions)
    assert {each.message_id: each.position for each in seen} == load.positions
    assert pause < PAUSE_SECONDS
