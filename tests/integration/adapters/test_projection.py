"""The feature service's checkpoints on a real database."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from services.feature.projection import Projection
from shared.adapters.database import schema_name
from shared.adapters.state_store import StateStore
from shared.domain.partition_state import digest, fold
from tests.builders import event, partition

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def projection(space) -> Projection:
    return Projection({0: partition()}, StateStore(space.engine, "fold 1"), checkpoint_seconds=60.0)


async def begin_checkpoint(projection: Projection, position: int) -> asyncio.Task[None]:
    fold(projection.states[0], [event(position, user_key=16)])
    projection.position = position
    task = asyncio.create_task(projection.checkpoint())
    await asyncio.sleep(0)
    return task


async def test_a_checkpoint_waits_for_the_one_before_it(space, projection):
    async with space.engine.begin() as connection:
        await connection.execute(sa.text(f'LOCK TABLE "{schema_name(space.name)}".user_state'))
        first = await begin_checkpoint(projection, 1)
        second = await begin_checkpoint(projection, 2)
        assert projection.states[0].changed_users == {16}
    await asyncio.gather(first, second)
    loaded = {0: partition()}
    assert await StateStore(space.engine, "fold 1").load(loaded) == 2
    assert digest(loaded.values()) == digest(projection.states.values())
