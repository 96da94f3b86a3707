"""Real brokers, started once, and services as processes of their own."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from deploy.local.brokers import Brokers, BrokerSettings, local_brokers
from deploy.local.ports import free_ports
from deploy.local.suite import Suite, SuiteSettings, local_suite
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter, WriteOutcome, WriteStatus
from shared.adapters.jetstream.streams import last_position
from shared.client import Addresses, FreshetClient
from tests.builders import catalogue_item
from tests.integration.forked import forked
from tests.integration.namespaces import SMALL_SETTINGS, Namespace, new_namespace


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def brokers(tmp_path_factory) -> AsyncIterator[Brokers]:
    async with local_brokers(BrokerSettings(directory=tmp_path_factory.mktemp("services"))) as running:
        yield running


@dataclass
class Running:
    """Services in a namespace of their own, and a client of them."""

    space: Namespace
    suite: Suite
    client: FreshetClient

    async def publish(self, payload: bytes, **headers: str) -> None:
        """Send to the NATS door; returns when it is on disk there."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.space.nats.jetstream().publish(self.space.names.door, payload, headers=headers or None)

    async def letters(self) -> list[DeadLetter]:
        """All dead letters, the oldest first."""
        stream, jetstream = self.space.names.stream("REJECTED"), self.space.nats.jetstream()
        last = (await jetstream.stream_info(stream)).state.last_seq
        return [
            DeadLetter.FromString((await jetstream.get_msg(stream, position)).data)
            for position in range(1, last + 1)
        ]

    async def log_length(self) -> int:
        """The last position of the log."""
        return await last_position(self.space.nats, self.space.names)

    async def metric(self, service: str, sample: str) -> float:
        """What a service counts now, for example of 'freshet_users{where="away"}'."""
        url = f"http://127.0.0.1:{self.suite.settings.metrics_ports[service]}/metrics"
        text = (await asyncio.to_thread(urllib.request.urlopen, url, timeout=5)).read().decode()
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(sample))

    async def at_the_door(self) -> int:
        """How many messages wait at the NATS door."""
        info = await self.space.nats.jetstream().stream_info(self.space.names.stream("INGEST"))
        return info.state.messages


@asynccontextmanager
async def services(
    brokers: Brokers, directory: Path, names: tuple[str, ...], **environment: str
) -> AsyncIterator[Running]:
    """Services that serve; environment: FRESHET_... variables without the prefix, in lower case."""
    told = {f"FRESHET_{name.upper()}": value for name, value in {**SMALL_SETTINGS, **environment}.items()}
    window = float(environment.get("duplicate_window_seconds", 120))
    async with AsyncExitStack() as stack:
        space = await stack.enter_async_context(new_namespace(brokers, window))
        settings = SuiteSettings.on_free_ports(
            starter=forked,
            directory=directory,
            nats_url=brokers.nats_url,
            database_url=brokers.database_url,
            namespace=space.name,
            domain="video",
            services=names,
            metrics_ports=dict(zip(names, free_ports(len(names)), strict=True)),
            environment={name: {"FRESHET_DRAIN_NOTICE_SECONDS": "0", **told} for name in names},
        )
        suite = await stack.enter_async_context(local_suite(settings))
        addresses = Addresses(**{name: suite.address(name) for name in names})
        yield Running(space, suite, await stack.enter_async_context(FreshetClient(addresses)))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def ingestion(brokers, tmp_path_factory) -> AsyncIterator[Running]:
    """One ingestion service for all tests that do it no harm."""
    async with services(brokers, tmp_path_factory.mktemp("ingestion"), ("ingestion",)) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def features(brokers, tmp_path_factory) -> AsyncIterator[Running]:
    """Features, with what writes and reads them, for all tests that leave them whole; each has users of its own. Few
    users are in memory, and the log begins at position 2."""
    told = {"users_in_memory": "50", "checkpoint_seconds": "0.2", "erasure_settle_seconds": "0.1"}
    directory, names = tmp_path_factory.mktemp("features"), ("ingestion", "feature", "ranking")
    async with services(brokers, directory, names, **told) as running:
        await running.client.upsert_items([catalogue_item("forgotten"), catalogue_item("i1")])
        await running.space.nats.jetstream().purge_stream(running.space.names.events, seq=2)
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def start(brokers, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Starts services for one test: `await start("ingestion", "feature", setting="value")`."""
    async with AsyncExitStack() as stack:

        async def started(*names: str, **environment: str) -> Running:
            return await stack.enter_async_context(services(brokers, tmp_path, names, **environment))

        yield started


def words(outcomes: list[WriteOutcome]) -> list[str]:
    """Names of statuses."""
    return [WriteStatus.Name(outcome.status).removeprefix("WRITE_STATUS_") for outcome in outcomes]
