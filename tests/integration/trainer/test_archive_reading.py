"""What a process that learns reads, also when it is cut off."""

import asyncio
import time

import pytest
import sqlalchemy as sa

from services.trainer.reading import archive_reading
from services.trainer.reading.archive_reading import read
from shared.adapters.postgres.database import schema_name
from tests.integration.trainer.world import World, eventually, walks
from tests.unit.trainer_service.builders import JOB

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENCE_SECONDS = 0.2
WAITING = sa.text(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'freshet-reader' AND wait_event_type = 'Lock'"
)


async def waiting(world: World) -> bool:
    async with world.engine.connect() as connection:
        return (await connection.execute(WAITING)).first() is not None


async def cut_off(world: World) -> None:
    """End the reader's connection when it has waited for the locked table longer than one is patient."""
    await eventually(lambda: waiting(world))
    until = time.monotonic() + 2 * PATIENCE_SECONDS
    await eventually(lambda: asyncio.sleep(0, time.monotonic() > until))
    async with world.engine.connect() as connection:
        await connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS reader"))


async def test_reading_that_is_cut_off_after_long_begins_anew(new_world, monkeypatch):
    monkeypatch.setattr(archive_reading, "_READ_SECONDS", PATIENCE_SECONDS)
    world = await new_world()
    last = await world.happen(walks(range(4)))
    job = JOB._replace(database_url=world.brokers.database_url, namespace=world.namespace, to_position=last)
    async with world.engine.begin() as connection:
        await connection.execute(sa.text(f'LOCK TABLE "{schema_name(world.namespace)}".event'))
        reading = asyncio.create_task(read(job, "reader"))
        await cut_off(world)
    assert len(await reading) == last
