"""What is left when something is killed, stopped or away."""

import asyncio
import time

import grpc
import psutil
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.service import CHANNEL_OPTIONS
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.registry import RegisteredModel
from shared.domain.manifest import model_version
from tests.integration.trainer.world import Trainer, World, eventually, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
STOPPED = "the trainer was stopped"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(new_world) -> World:
    """With events enough to learn from for a while."""
    made = await new_world()
    await made.happen(walks(range(500), length=24))
    return made


def learner(trainer: Trainer) -> psutil.Process:
    """The process that learns."""
    (process,) = psutil.Process(trainer.suite.service("trainer").pid).children()
    return process


async def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_killed_trainer_takes_its_learner_along_and_the_run_is_failed_after_the_restart(world):
    async with world.trainer() as trainer:
        run = await trainer.learning()
        process = learner(trainer)
        await trainer.suite.kill("trainer")
        await eventually(lambda: gone(process))
        await trainer.suite.start("trainer")
        run = await trainer.get(run.run_id)
    assert (run.state, run.error) == (api.TRAINING_STATE_FAILED, STOPPED)
    assert await world.registry.champion() is None


async def test_a_stopped_trainer_ends_its_run_and_says_so(world):
    async with world.trainer() as trainer:
        run = await trainer.learning()
        process = learner(trainer)
        started = time.monotonic()
        await trainer.suite.stop("trainer")
        assert time.monotonic() - started < 8.0
    assert await gone(process)
    assert trainer.suite.service("trainer").child.returncode == 0
    run = await world.registry.run(run.run_id)
    assert (run.state, run.error) == (api.TRAINING_STATE_FAILED, STOPPED)


async def test_calls_are_answered_while_a_run_learns(world):
    async with world.trainer() as trainer:
        await trainer.learning()
        started = time.monotonic()
        for _ in range(20):
            await trainer.stub.ListModels(api.ListModelsRequest())
        assert time.monotonic() - started < 2.0


async def test_a_learner_that_dies_fails_the_run_and_the_next_can_start(world):
    async with world.trainer() as trainer:
        run = await trainer.learning()
        learner(trainer).kill()
        async for latest in trainer.watch(run.run_id):
            run = latest
        assert "ended with code -9" in run.error
        assert (await trainer.start()).run_id != run.run_id


async def test_a_run_whose_model_was_registered_had_succeeded(new_world):
    world = await new_world()
    run = api.TrainingRun(run_id="cut", state=api.TRAINING_STATE_PUBLISHING)
    run.start_time.GetCurrentTime()
    await world.registry.save_run(run)
    await world.registry.register(_model("cut", champion=True))
    async with world.trainer() as trainer:
        run = await trainer.get("cut")
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
