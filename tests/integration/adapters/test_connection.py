"""What becomes of a connection, and what is told, while a NATS server is away or ends it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import api
from tests.conditions import eventually


async def test_a_server_that_is_away_is_named_once_with_the_setting_however_often_it_is_tried():
    tries: list[int] = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as nobody:
        host, port = nobody.sockets[0].getsockname()
        with capture_logs() as logs:
            connecting = asyncio.create_task(connect(f"nats://ann:secret@{host}:{port}"))
            await eventually(lambda: len(tries) > 3)
            connecting.cancel()
    told = [(log["servers"], log["setting"]) for log in logs if log["event"] == "nats error"]
    assert told == [(f"{host}:{port}", "FRESHET_NATS_URL")]


@pytest.mark.asyncio(loop_scope="session")
async def test_a_connection_that_is_closed_in_good_order_is_not_told_of_as_lost(brokers):
    with capture_logs() as logs:
        await connect(brokers.nats_url)
    assert [log["event"] for log in logs] == []


@pytest.mark.asyncio(loop_scope="session")
async def test_a_connection_that_the_server_ended_with_an_error_comes_back(brokers):
    with capture_logs() as logs:
        async with nats_connection(brokers.nats_url, "test") as nats:
            await nats.publish("any", b"x" * nats.max_payload, headers={"beyond": "the largest message"})
            await eventually(lambda: any(log["event"] == "nats connection lost" for log in logs))
            await eventually(lambda: nats.is_connected)
            assert "error" not in await api(nats, "INFO")
    assert "maximum payload violation" in next(log["error"] for log in logs if log["event"] == "nats error")


async def connect(url: str) -> None:
    """Tries for ever."""
    async with nats_connection(url, "test"):
        pass
