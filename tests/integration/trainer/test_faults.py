"""What is left when something is killed, stopped or away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import psutil
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.service import CHANNEL_OPTIONS
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.postgres.registry import RegisteredModel
from shared.domain.models.manifest import model_version
from tests.integration.trainer.deltas import NEW, describe_new_item, told_up_to
from tests.integration.trainer.favourites import favouring, registered
from tests.integration.trainer.world import ENDED, Trainer, World, eventually, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
STOPPED = "the trainer was stopped"
EVENTS = walks(range(60))
BRIEF = {"train_encoder": "cnn", "train_checkpoint_seconds": "0.1", "code_revision": "r1"}
Condition = Callable[[], Awaitable[bool]]


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world) -> World:
    """With events that a run learns from in some seconds. Each test has its own: what is left goes on in the next."""
    made = await new_world()
    await made.happen(EVENTS)
    return made


def learners(trainer: Trainer) -> list[psutil.Process]:
    """The processes that learn: one, or none between two."""
    return psutil.Process(trainer.suite.service("trainer").pid).children()


def learner(trainer: Trainer) -> psutil.Process:
    """The process that learns."""
    (process,) = learners(trainer)
    return process


async def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def directory(world: World, run: api.TrainingRun) -> Path:
    return world.directory / "training" / run.run_id


def forgotten(world: World, run: api.TrainingRun) -> Condition:
    """Its end is told before what is kept of it goes: a kill in between loses no end."""

    async def nothing_is_kept() -> bool:
        return not directory(world, run).exists()

    return nothing_is_kept


def has_checkpoint(world: World, run: api.TrainingRun) -> Condition:
    async def there_is_one() -> bool:
        return bool(list(directory(world, run).glob("*.checkpoint")))

    return there_is_one


def resumed(trainer: Trainer, run: api.TrainingRun, times: int) -> Condition:
    async def goes_on() -> bool:
        latest = await trainer.get(run.run_id)
        return latest.resumed_count == times and latest.state == api.TRAINING_STATE_TRAINING

    return goes_on


async def ended(trainer: Trainer, run: api.TrainingRun) -> api.TrainingRun:
    """The run at its end, through whatever cuts the watch off."""

    async def has_ended() -> bool:
        return (await trainer.get(run.run_id)).state in ENDED

    await eventually(has_ended, within=300.0)
    return await trainer.get(run.run_id)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(new_world) -> api.TrainingRun:
    """A run that nothing cut off, over the events of `world`."""
    world = await new_world()
    await world.happen(EVENTS)
    async with world.trainer(**BRIEF) as trainer:
        return await trainer.trained()


async def test_a_killed_trainer_takes_its_learner_along(world):
    async with world.trainer() as trainer:
        await trainer.learning()
        process = learner(trainer)
        await trainer.suite.kill("trainer")
        await eventually(lambda: gone(process))


@pytest.mark.timeout(600)
async def test_a_run_that_is_cut_off_again_and_again_ends_with_the_bundle_of_one_that_is_not(whole, world):
    async with world.trainer(**BRIEF) as trainer:
        run = await trainer.learning()
        await eventually(has_checkpoint(world, run))
        learner(trainer).kill()
        await eventually(resumed(trainer, run, 1))
        await trainer.suite.kill("trainer")
        await trainer.suite.start("trainer")
        await eventually(resumed(trainer, run, 2))
        await trainer.suite.stop("trainer")
        assert (await world.registry.run(run.run_id)).state not in ENDED
        await trainer.suite.start("trainer")
        run = await ended(trainer, run)
        await eventually(forgotten(world, run))
    assert (run.error, run.resumed_count) == ("", 3)
    assert run.model_version == whole.model_version


async def test_a_run_that_goes_on_without_the_champion_it_had_fetched_is_compared_with_it_all_the_same(world):
    champion = await registered(world, favouring([1]))
    async with world.trainer(**BRIEF) as trainer:
        run = await trainer.learning()
        await trainer.suite.kill("trainer")
        (directory(world, run) / "champion.bundle").unlink()
        await trainer.suite.start("trainer")
        run = await ended(trainer, run)
    assert f"than champion {champion}" in run.decision.reason


async def test_a_run_that_was_answered_goes_on_however_soon_the_trainer_is_killed(world):
    async with world.trainer(**BRIEF) as trainer:
        await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)
        async with world.engine.connect() as connection:  # which keeps the run from asking for the champion
            await connection.exec_driver_sql(f'LOCK TABLE "freshet_{world.namespace}".model')
            run = await trainer.start()
            await trainer.suite.kill("trainer")
        await trainer.suite.start("trainer")
        run = await trainer.get(run.run_id)
    assert (run.error, run.resumed_count) == ("", 1)


async def test_a_run_of_which_nothing_is_left_here_failed_when_the_trainer_was_stopped(new_world):
    world = await new_world()
    run = api.TrainingRun(run_id="elsewhere", state=api.TRAINING_STATE_TRAINING)
    run.start_time.GetCurrentTime()
    await world.registry.save_run(run)
    async with world.trainer() as trainer:
        run = await trainer.get("elsewhere")
    assert (run.state, run.error) == (api.TRAINING_STATE_FAILED, STOPPED)


async def test_a_stopped_trainer_ends_its_learner_in_time(world):
    async with world.trainer() as trainer:
        await trainer.learning()
        process = learner(trainer)
        started = time.monotonic()
        await trainer.suite.stop("trainer")
        assert time.monotonic() - started < 8.0
    assert await gone(process)
    assert trainer.suite.service("trainer").child.returncode == 0


async def test_calls_are_answered_while_a_run_learns(world):
    async with world.trainer() as trainer:
        await trainer.learning()
        started = time.monotonic()
        for _ in range(20):
            await trainer.stub.ListModels(api.ListModelsRequest())
        assert time.monotonic() - started < 2.0


async def test_learners_that_die_again_and_again_fail_the_run_and_the_next_can_start(world):
    async with world.trainer(**BRIEF) as trainer:
        run, died = await trainer.learning(), list[int]()
        while (await trainer.get(run.run_id)).state not in ENDED:
            died += [_killed(each) for each in learners(trainer) if each.pid not in died]
        run = await trainer.get(run.run_id)
        assert "ended with code -9; it was the 4th of this run" in run.error
        assert (len(died), run.resumed_count) == (4, 3)
        await eventually(forgotten(world, run))
        assert (await trainer.start()).run_id != run.run_id


def _killed(process: psutil.Process) -> int:
    process.kill()
    return process.pid


async def test_a_run_whose_model_was_registered_had_succeeded(new_world):
    world = await new_world()
    run = api.TrainingRun(run_id="cut", state=api.TRAINING_STATE_PUBLISHING)
    run.start_time.GetCurrentTime()
    await world.registry.save_run(run)
    await world.registry.register(_model("cut", champion=True))
    directory(world, run).mkdir(parents=True)
    async with world.trainer() as trainer:
        run = await trainer.get("cut")
    assert not directory(world, run).exists()
    assert (run.state, run.model_version) == (api.TRAINING_STATE_SUCCEEDED, model_version("ab" * 32))
    assert run.decision.promoted


async def test_a_champion_without_a_bundle_does_not_keep_a_model_out(new_world):
    world = await new_world()
    await world.happen(walks(range(40)))
    await world.registry.register(_model("lost", champion=True))
    async with world.trainer() as trainer:
        run = await trainer.trained(max_minutes=0.02)
    assert run.decision.promoted, run.decision.reason
    assert f"{model_version('ab' * 32)} is not in the bundle store" in run.decision.reason


async def test_without_postgres_calls_are_unavailable_and_a_start_waits(new_world, brokers):
    world = await new_world()
    async with world.trainer() as trainer:
        await brokers.postgres.stop()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await trainer.stub.ListModels(api.ListModelsRequest())
            await trainer.suite.stop("trainer")
            starting = asyncio.create_task(trainer.suite.start("trainer"))
            await eventually(lambda: _health_is(trainer, health_pb2.HealthCheckResponse.NOT_SERVING))
        finally:
            await brokers.postgres.start()
        await starting
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_run_is_left_to_the_next_trainer_also_while_postgres_is_frozen(world, brokers):
    async with world.trainer() as trainer:
        run = await trainer.learning()
        brokers.postgres.pause()
        try:
            await trainer.suite.stop("trainer")
        finally:
            brokers.postgres.resume()
        assert trainer.suite.service("trainer").child.returncode == 0
        await trainer.suite.start("trainer")
        await eventually(resumed(trainer, run, 1))


async def test_deltas_go_on_while_postgres_is_frozen(new_world, brokers):
    world = await new_world()
    await world.happen([("ann", "item 1")])
    version = await registered(world, favouring([1]))
    await describe_new_item(world)
    async with world.trainer(delta_seconds="0.1"):
        await eventually(told_up_to(world, version, await world.happen([("ann", NEW)])))
        brokers.postgres.pause()
        try:
            last = await world.happen([("ann", NEW)], archived=False)
            await eventually(told_up_to(world, version, last), within=20.0)
        finally:
            brokers.postgres.resume()


async def _health_is(trainer: Trainer, status: int) -> bool:
    async with grpc.aio.insecure_channel(
        trainer.suite.address("trainer"), options=CHANNEL_OPTIONS
    ) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        except grpc.aio.AioRpcError:
            return False
    return answer.status == status


def _model(run_id: str, champion: bool) -> RegisteredModel:
    digest = "ab" * 32
    run = api.TrainingRun()
    run.start_time.GetCurrentTime()
    created = run.start_time.ToDatetime().astimezone()
    return RegisteredModel(
        model_version(digest), digest, run_id, created, champion, champion, "told", 5, 3, {"ndcg@10": 0.1}
    )
