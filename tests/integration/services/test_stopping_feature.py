"""A feature service that is told to stop when it cannot write a checkpoint."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
import sqlalchemy as sa

from deploy.local.errors import LauncherError
from shared.adapters.postgres.tables import checkpoints
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_service_told_to_stop_while_it_loads_its_state_ends_in_good_order(start):
    running = await start("feature")
    await running.suite.stop("feature")
    async with running.space.engine.begin() as connection:
        await connection.execute(sa.select(checkpoints).with_for_update())
        starting = asyncio.create_task(running.suite.start("feature"))
        await eventually(lambda: waits_for_a_lock(running.space.engine))
        await running.suite.stop("feature")
        with suppress(LauncherError):
            await starting
    child = running.suite.service("feature").child
    assert child.returncode == 0, child.log_tail()


async def test_a_service_told_to_stop_while_postgres_is_frozen_ends_in_good_order(start, brokers):
    running = await start("feature")
    brokers.postgres.pause()
    try:
        await running.suite.stop("feature")
    finally:
        brokers.postgres.resume()
    child = running.suite.service("feature").child
    assert child.returncode == 0, child.log_tail()


async def waits_for_a_lock(engine) -> bool:
    """Whether a feature service does."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'freshet-feature' AND wait_event_type = 'Lock'"
    )
    async with engine.connect() as connection:
        return bool(await connection.scalar(query))
