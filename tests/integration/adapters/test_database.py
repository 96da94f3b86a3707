"""Tables are made as soon as PostgreSQL is there."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from shared.adapters.postgres.database import UNAVAILABLE, database_engine, ensure_tables, schema_name
from shared.domain.stream_settings import UnfitSettingError
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_while_postgres_is_frozen_tables_wait_for_it(brokers):
    async with database_engine(brokers.database_url, "frozen", "test") as engine:
        brokers.postgres.pause()
        try:
            with capture_logs() as logs:
                making = asyncio.create_task(ensure_tables(engine, "frozen"))
                await eventually(lambda: logs or making.done())
        finally:
            brokers.postgres.resume()
        await making
        async with engine.connect() as connection:
            assert await connection.run_sync(
                lambda it: sa.inspect(it).has_table("event", schema_name("frozen"))
            )


async def test_while_all_connections_are_taken_postgres_is_as_good_as_away(brokers):
    async with database_engine(brokers.database_url, "", "test") as engine, AsyncExitStack() as taken:
        with pytest.raises(UNAVAILABLE):
            while True:
                await taken.enter_async_context(engine.connect())


async def test_a_machine_that_is_gone_is_noticed_within_minutes(brokers):
    async with database_engine(brokers.database_url, "", "test") as engine, engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        line = raw._transport.get_extra_info("socket")
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        assert 0 < line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 120_000


async def test_an_engine_is_closed_also_while_postgres_is_frozen(brokers):
    try:
        async with asyncio.timeout(10), database_engine(brokers.database_url, "", "test") as engine:
            async with engine.connect():
                pass
            brokers.postgres.pause()
    finally:
        brokers.postgres.resume()


async def test_whether_a_connection_is_encrypted_is_said_as_libpq_says_it(brokers):
    open_to_all, encrypted = (f"{brokers.database_url}?sslmode={word}" for word in ("disable", "require"))
    async with database_engine(open_to_all, "", "test") as engine, engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT 1")) == 1
    async with database_engine(encrypted, "", "test") as engine:
        with pytest.raises(ConnectionError, match="SSL"):  # this server offers none
            await engine.connect()


async def test_a_parameter_that_no_connection_has_is_refused_by_name(brokers):
    with pytest.raises(UnfitSettingError, match=r"FRESHET_DATABASE_URL: .*bogus"):
        async with database_engine(brokers.database_url + "?bogus=1", "", "test"):
            pass
