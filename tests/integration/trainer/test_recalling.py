"""What users did before is recalled beside the calls."""

import time

import numpy as np
import pytest
import sqlalchemy as sa

from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.codecs.keys import item_keys, signed, user_key
from shared.adapters.postgres.database import schema_name
from shared.domain.events.event import EventType
from tests.integration.trainer.deltas import NEW, describe_new_item, told_up_to
from tests.integration.trainer.favourites import favouring, registered
from tests.integration.trainer.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")
USERS, EVENTS_EACH = 1000, 300
LONGEST_SECONDS = 1.0


async def rated_before(world: World, users: list[str]) -> None:
    """Each user has rated an item again and again, before the log's first position."""
    statement = f"""INSERT INTO "{schema_name(world.namespace)}".event
        SELECT step - {EVENTS_EACH} * number, number || '/' || step, 0, key, {int(EventType.RATE)}, 0, :item, :value, ''
        FROM unnest(CAST(:keys AS bigint[])) WITH ORDINALITY AS known(key, number),
        generate_series(0, {EVENTS_EACH - 1}) AS step"""
    keys = [signed(user_key(user)) for user in users]
    item, value = item_keys(["item 1"]).tobytes(), np.full(1, np.nan, np.float32).tobytes()
    async with world.engine.begin() as connection:
        await connection.execute(sa.text(statement), {"keys": keys, "item": item, "value": value})


async def test_calls_are_answered_while_it_is_recalled_what_many_users_did(new_world):
    world, users = await new_world(), [f"user {number}" for number in range(USERS)]
    await rated_before(world, users)
    await describe_new_item(world)
    last = await world.happen([(user, NEW) for user in users], archived=False)
    async with world.trainer(delta_seconds="0.1") as trainer:
        await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)
        told, longest = told_up_to(world, await registered(world, favouring([1])), last), 0.0
        while not await told():
            started = time.monotonic()
            await trainer.stub.ListModels(api.ListModelsRequest())
            longest = max(longest, time.monotonic() - started)
    assert longest < LONGEST_SECONDS
