"""Runs that nobody asked for."""

from datetime import UTC, datetime, timedelta

import pytest

from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.runs.runs import GAVE_WAY
from tests.integration.trainer.world import Trainer, eventually, walks

LONG_RUN_USERS = 500
"""Whose events take much longer to learn than a call that comes behind."""
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def runs(trainer: Trainer) -> list[api.TrainingRun]:
    return list((await trainer.stub.ListTrainingRuns(api.ListTrainingRunsRequest())).runs)


async def first_run(trainer: Trainer) -> api.TrainingRun:
    async def there_is_one() -> bool:
        return bool(await runs(trainer))

    await eventually(there_is_one)
    return (await runs(trainer))[0]


async def test_enough_new_events_start_a_run(new_world):
    world = await new_world()
    async with world.trainer(train_every_events="100", train_check_seconds="0.1") as trainer:
        await world.happen(walks(range(8)))
        run = await first_run(trainer)
    assert run.trigger == api.TRAINING_TRIGGER_NEW_EVENTS


async def test_the_schedule_starts_a_run(new_world):
    world = await new_world()
    await world.happen(walks(range(8)))
    async with world.trainer(train_interval_seconds="0.2", train_check_seconds="0.1") as trainer:
        run = await first_run(trainer)
    assert run.trigger == api.TRAINING_TRIGGER_SCHEDULE


async def test_a_failure_from_before_the_clock_was_set_back_holds_up_no_run(new_world):
    world = await new_world()
    await world.happen(walks(range(8)))
    ahead = api.TrainingRun(run_id="ahead", state=api.TRAINING_STATE_FAILED)
    ahead.start_time.FromDatetime(datetime.now(UTC) + timedelta(days=365))
    await world.registry.save_run(ahead)
    async with world.trainer(train_interval_seconds="0.2", train_check_seconds="0.1") as trainer:

        async def another_run_starts() -> bool:
            return len(await runs(trainer)) > 1

        await eventually(another_run_starts)


async def test_a_run_that_nobody_asked_for_gives_way_to_one_that_somebody_does(new_world):
    world = await new_world()
    await world.happen(walks(range(LONG_RUN_USERS)))
    async with world.trainer(train_every_events="100", train_check_seconds="0.1") as trainer:
        triggered = await first_run(trainer)
        asked_for = await trainer.start()
        given_way = await trainer.get(triggered.run_id)
    assert asked_for.trigger == api.TRAINING_TRIGGER_REQUEST
    assert (given_way.state, given_way.error) == (api.TRAINING_STATE_FAILED, GAVE_WAY)


async def test_traffic_that_is_not_what_the_champion_learned_from_starts_a_run(new_world):
    world = await new_world()
    often = {"train_check_seconds": "0.1", "train_drift_seconds": "0.1", "train_retry_seconds": "0.1"}
    async with world.trainer(train_drift_psi="0.25", train_drift_events="100", **often) as trainer:
        await world.happen(walks(range(40)))
        champion = await trainer.trained()
        assert champion.decision.promoted, champion.decision.reason
        await world.happen([(f"user {number % 40}", f"new item {number}") for number in range(120)])

        async def drifted() -> bool:
            return (await runs(trainer))[0].trigger == api.TRAINING_TRIGGER_DRIFT

        await eventually(drifted)
        listed = await trainer.stub.ListModels(api.ListModelsRequest())
    assert listed.drift.model_version == champion.model_version
    assert listed.drift.items_psi > 0.25
    assert listed.drift.new_item_share > 0.5
