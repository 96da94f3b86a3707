"""Runs begin once, end once, and do not end each other where that would lose something."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.policies.gate import Decision
from services.trainer.runs import runs as runs_module
from services.trainer.runs.progress import new_run, succeeded
from services.trainer.runs.run_directories import RunDirectories, Wish
from services.trainer.runs.runs import AlreadyRunningError, Runs
from tests.integration.trainer.world import ENDED, Trainer, World, eventually, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
SCHEDULE, REQUEST = api.TRAINING_TRIGGER_SCHEDULE, api.TRAINING_TRIGGER_REQUEST


class SlowConductor:
    """Its runs are in a state until they are let go; then they end with a model."""

    def __init__(self, directory: Path, state: api.TrainingState) -> None:
        self.directories = RunDirectories(str(directory))
        self._state, self.done = state, asyncio.Event()

    async def conduct(self, run: api.TrainingRun, _wish, note) -> api.TrainingRun:
        run.state = self._state
        await note(True)
        await self.done.wait()
        return succeeded(run, "model", Decision(True, "better"))


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world) -> World:
    return await new_world()


async def opened(world: World, tmp_path: Path, state: api.TrainingState) -> tuple[Runs, SlowConductor]:
    conductor = SlowConductor(tmp_path, state)
    runs = Runs(world.registry, conductor)
    await runs.open()
    return runs, conductor


async def in_state(runs: Runs, run: api.TrainingRun, state: api.TrainingState) -> None:
    async def there() -> bool:
        return (await runs.get(run.run_id)).state == state

    await eventually(there)


async def test_a_run_that_publishes_is_waited_for_by_one_that_somebody_asks_for(world, tmp_path):
    runs, conductor = await opened(world, tmp_path, api.TRAINING_STATE_PUBLISHING)
    scheduled = await runs.start(SCHEDULE)
    await in_state(runs, scheduled, api.TRAINING_STATE_PUBLISHING)
    asking = asyncio.create_task(runs.start(REQUEST))
    assert not (await asyncio.wait({asking}, timeout=0.3))[0]
    conductor.done.set()
    assert (await asking).run_id != scheduled.run_id
    ended = await world.registry.run(scheduled.run_id)
    assert (ended.state, ended.model_version) == (api.TRAINING_STATE_SUCCEEDED, "model")
    await runs.stop()


async def test_a_run_whose_end_takes_long_is_not_waited_for_for_ever(world, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "_ENDING_SECONDS", 0.1)
    runs, _ = await opened(world, tmp_path, api.TRAINING_STATE_PUBLISHING)
    scheduled = await runs.start(SCHEDULE)
    await in_state(runs, scheduled, api.TRAINING_STATE_PUBLISHING)
    with pytest.raises(AlreadyRunningError, match=scheduled.run_id):
        await runs.start(REQUEST)
    await runs.stop()


async def test_a_start_whose_caller_goes_away_has_begun_its_run_or_left_none(world, tmp_path):
    runs, conductor = await opened(world, tmp_path, api.TRAINING_STATE_TRAINING)
    asking = asyncio.create_task(runs.start(REQUEST, "impatient"))
    await asyncio.sleep(0)
    asking.cancel()
    conductor.done.set()
    run = await runs.start(REQUEST, "impatient")
    await in_state(runs, run, api.TRAINING_STATE_SUCCEEDED)
    assert len(await runs.newest(10)) == 1


async def test_a_run_that_was_stored_but_never_begun_is_begun_by_the_same_request(new_world):
    world = await new_world()
    await world.happen(walks(range(60)))
    async with world.trainer(train_encoder="cnn") as trainer:
        await anything_from(trainer)
        stored = new_run(REQUEST)
        await world.registry.save_run(stored, "again")
        run = await trainer.trained(request_id="again")
    assert run.run_id == stored.run_id
    assert (run.state, run.error) == (api.TRAINING_STATE_SUCCEEDED, "")


async def test_a_request_of_a_run_that_has_ended_starts_nothing(world, tmp_path):
    runs, conductor = await opened(world, tmp_path, api.TRAINING_STATE_TRAINING)
    conductor.done.set()
    run = await runs.start(REQUEST, "once")
    await in_state(runs, run, api.TRAINING_STATE_SUCCEEDED)
    again = await runs.start(REQUEST, "once")
    assert (again.run_id, again.state in ENDED) == (run.run_id, True)


async def anything_from(trainer: Trainer) -> None:
    """The trainer has started: what is stored from here on it has not found at its start."""
    await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)


async def test_a_watch_of_a_run_that_another_trainer_carries_ends_with_it(world, tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "_LOOK_SECONDS", 0.1, raising=False)
    runs, _ = await opened(world, tmp_path, api.TRAINING_STATE_TRAINING)
    run = new_run(REQUEST)
    await world.registry.save_run(run)
    async with asyncio.timeout(20):
        watch = runs.watch(run.run_id)
        assert (await anext(watch)).state == api.TRAINING_STATE_READING
        await world.registry.save_run(succeeded(run, "model", Decision(True, "better")))
        assert [each.model_version async for each in watch] == ["model"]


async def test_a_run_that_another_trainer_has_taken_ends_here_at_once_without_an_end(world, tmp_path):
    runs, conductor = await opened(world, tmp_path, api.TRAINING_STATE_TRAINING)
    conductor.directories.begin("taken", Wish())
    taken = api.TrainingRun(run_id="taken", state=api.TRAINING_STATE_READING)
    await world.registry.save_run(taken)
    await runs.open()
    await in_state(runs, taken, api.TRAINING_STATE_TRAINING)
    await runs.leave()
    conductor.done.set()
    await eventually(lambda: nowhere_carried(taken))
    assert (await world.registry.run("taken")).state not in ENDED
    assert conductor.directories.wish("taken") is not None


async def nowhere_carried(run: api.TrainingRun) -> bool:
    return all(task.get_name() != f"run {run.run_id}" for task in asyncio.all_tasks())
