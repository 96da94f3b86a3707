"""What an erasure means to ranking and to the trainer."""

from __future__ import annotations

import pytest

from freshet.trainer.v1.trainer_pb2 import TrainingRun
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.e2e.loop import item_ids
from tests.integration.erasure.world import ErasureWorld

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def training(world: ErasureWorld) -> TrainingRun:
    """A run that has read the archive."""
    run_id = (await world.running.client.start_training()).run.run_id

    async def has_read() -> TrainingRun | None:
        run = (await world.running.client.get_training_run(run_id)).run
        assert not run.error
        return run if run.event_count else None

    return await eventually(has_read, timeout=60)


async def test_a_training_after_an_erasure_sees_nothing_of_the_user_and_waits_for_no_deleted_message(start):
    world = await start("ingestion", "trainer")
    await world.act("bob", 5)
    await world.act("ann", 7)
    receipt = await world.erase("ann")
    run = await training(world)
    assert run.trained_to_position > receipt.position
    assert run.event_count == 5


async def test_ranking_forgets_an_erased_user_also_while_features_are_away(start):
    world = await start("ingestion", "feature", "ranking")
    client = world.running.client
    await client.upsert_items([catalogue_item("i1"), catalogue_item("i2")])
    token = (await client.write_user_event(message("rate", user_id="ann"))).consistency_token
    await client.write_user_event(message("rate", user_id="bob", items=["i2"]))
    await client.recommend("ann", min_consistency_token=token)
    await world.running.suite.kill("feature")
    assert "i1" not in item_ids(await client.recommend("ann"))
    await world.erase("ann")
    assert await eventually(lambda: recommended(client, "ann", "i1"))


async def recommended(client, user: str, item: str) -> bool:
    return item in item_ids(await client.recommend(user))
