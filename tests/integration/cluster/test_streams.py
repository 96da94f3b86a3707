"""Streams of a cluster."""

from __future__ import annotations

import pytest

from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.log_writer import Appended, LogWriter, Record
from shared.adapters.jetstream.streams import Names, StreamError, api, ensure_streams
from shared.domain.stream_settings import StreamSettings
from tests.integration.cluster.load import at_work

pytestmark = pytest.mark.asyncio(loop_scope="session")
NAMES = Names("test")


async def replicas_of(nats) -> dict[str, int]:
    """By stream of the namespace."""
    answer = await api(nats, "STREAM.LIST")
    configs = [stream["config"] for stream in answer["streams"]]
    return {each["name"]: each["num_replicas"] for each in configs if "test_" in each["name"]}


async def test_every_stream_and_bucket_has_the_replicas_asked_for_and_never_fewer(cluster):
    async with nats_connection(cluster.url, "test") as nats:
        await ensure_streams(nats, NAMES, StreamSettings(replicas=3))
        await ensure_streams(nats, NAMES, StreamSettings(replicas=1))
        replicas = await replicas_of(nats)
        assert set(replicas.values()) == {3}
        assert "OBJ_test_BUNDLES" in replicas and "test_EVENTS" in replicas
        with pytest.raises(StreamError, match="test_EVENTS"):
            await ensure_streams(nats, NAMES, StreamSettings(replicas=5))


async def test_ids_that_a_replicated_log_holds_are_recognised_and_writing_goes_on(cluster):
    async with nats_connection(cluster.url, "test") as nats:
        await ensure_streams(nats, NAMES, StreamSettings(replicas=3))
        writer = LogWriter(nats)
        async with at_work(writer.run):
            for first in (1, 51, 101):
                numbers = range(first, first + 100)
                records = [Record(NAMES.event_subject(0, "click"), f"id-{each}", b"") for each in numbers]
                known = first + 49 if first > 1 else 0
                assert await writer.append(records) == [Appended(each, each <= known) for each in numbers]
