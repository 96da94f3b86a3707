"""The streams of a namespace, as the first service makes them and the next ones find them."""

from __future__ import annotations

import asyncio
import re

import pytest

from deploy.local import nats_server
from deploy.local.ports import free_ports
from shared.adapters.jetstream import streams
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names, StreamError, api, ensure_streams, log_partitions
from shared.domain.retention import MIB, Limit, Retention
from shared.domain.stream_settings import StreamSettings, UnfitSettingError
from tests.integration.namespaces import SMALL

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def metadata(space) -> dict[str, str]:
    """What Freshet itself has noted beside the log."""
    answer = await api(space.nats, f"STREAM.INFO.{space.names.events}")
    noted = answer["config"].get("metadata") or {}
    return {key: value for key, value in noted.items() if key.startswith("freshet.")}


async def test_the_log_keeps_its_number_of_partitions_and_refuses_another_by_name_of_the_setting(space):
    await ensure_streams(space.nats, space.names, StreamSettings(partitions=4))
    with pytest.raises(
        UnfitSettingError, match=r"has 4 partitions for good, and FRESHET_PARTITIONS is 8; set it to 4"
    ):
        await ensure_streams(space.nats, space.names, StreamSettings(partitions=8))
    assert await metadata(space) == {"freshet.partitions": "4"}


async def test_who_says_nothing_of_partitions_changes_nothing(space):
    await ensure_streams(space.nats, space.names, StreamSettings(partitions=4))
    await ensure_streams(space.nats, space.names, StreamSettings())
    assert await metadata(space) == {"freshet.partitions": "4"}


async def test_the_log_tells_how_many_partitions_it_has_if_anybody_has_said(space):
    assert await log_partitions(space.nats, space.names) is None
    await ensure_streams(space.nats, space.names, StreamSettings(partitions=4))
    assert await log_partitions(space.nats, space.names) == 4


async def test_a_log_that_is_not_there_tells_nothing(space):
    with pytest.raises(StreamError, match="stream nowhere_EVENTS"):
        await log_partitions(space.nats, Names("nowhere"))


@pytest.mark.parametrize(
    "stream, subject",
    [("REJECTED", "rejected.v1.events"), ("EXPOSURES", "exposures.v1.0"), ("DELTAS", "deltas.v1.m")],
)
async def test_of_a_stream_that_would_grow_for_ever_the_oldest_go_beyond_its_bytes(space, stream, subject):
    small = Limit(MIB, 3600.0)
    await ensure_streams(space.nats, space.names, StreamSettings(retention=Retention(small, small, small)))
    log = space.nats.jetstream()
    for _ in range(4):
        await log.publish(space.names.subject(subject), bytes(MIB // 3))
    state = (await log.stream_info(space.names.stream(stream))).state
    assert (state.first_seq, state.last_seq) == (3, 4)


async def test_services_that_start_together_agree(space):
    await asyncio.gather(
        *[ensure_streams(space.nats, space.names, StreamSettings(partitions=4)) for _ in range(4)]
    )
    assert await metadata(space) == {"freshet.partitions": "4"}


@pytest.mark.parametrize(
    "unfit, advice",
    [
        (StreamSettings(replicas=3), "FRESHET_REPLICAS to 1"),
        (StreamSettings(retention=SMALL._replace(exposures=Limit(1 << 60, 0))), "FRESHET_..._MAX_BYTES"),
    ],
)
async def test_what_the_server_has_not_is_refused_with_what_to_set(space, unfit, advice):
    with pytest.raises(UnfitSettingError, match=f"unfit_E.*{re.escape(advice)}"):
        await ensure_streams(space.nats, Names("unfit"), unfit)


async def test_a_server_without_jetstream_is_refused_with_what_to_set(monkeypatch):
    monkeypatch.setattr(streams, "LEADER_SECONDS", 0.0)
    port = str(free_ports(1)[0])
    server = await asyncio.create_subprocess_exec(nats_server.binary(), "--addr", "127.0.0.1", "--port", port)
    try:
        async with nats_connection(f"nats://127.0.0.1:{port}", "test") as nats:
            with pytest.raises(UnfitSettingError, match="FRESHET_NATS_URL to a server with JetStream"):
                await ensure_streams(nats, Names())
    finally:
        server.kill()
        await server.wait()
