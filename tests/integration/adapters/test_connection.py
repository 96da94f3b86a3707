"""What is told of a NATS server that is away."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from shared.adapters.jetstream.connection import nats_connection
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


async def connect(url: str) -> None:
    """Tries for ever."""
    async with nats_connection(url, "test"):
        pass
