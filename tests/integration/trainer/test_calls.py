"""What calls answer."""

import asyncio

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from freshet.trainer.v1 import trainer_pb2 as api
from tests.integration.trainer.world import Trainer, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trainer(new_world):
    """A trainer whose runs wait: its archive is behind the log."""
    world = await new_world()
    await world.happen(walks(range(2)), archived=False)
    async with world.trainer() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def waiting(trainer) -> api.TrainingRun:
    return await trainer.start(request_id="first")


async def refusal(call) -> tuple[grpc.StatusCode, list]:
    """The code of a call that is refused, and its details."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
    )
    details = []
    for packed in rpc_status.from_call(refused.value).details:
        kind = next(kind for kind in kinds if packed.Is(kind.DESCRIPTOR))
        details.append(kind.FromString(packed.value))
    return refused.value.code(), details


async def test_a_run_waits_for_the_archive(trainer, waiting):
    assert (await trainer.get(waiting.run_id)).state == api.TRAINING_STATE_READING


async def test_the_same_request_answers_with_the_same_run(trainer, waiting):
    assert (await trainer.start(request_id="first")).run_id == waiting.run_id


async def test_while_one_runs_another_is_refused_and_told_of_it(trainer: Trainer, waiting):
    code, details = await refusal(trainer.start(request_id="second"))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details[0].reason == "ALREADY_RUNNING"
    assert details[1].resource_name == waiting.run_id
    assert details[2].retry_delay.seconds > 0


async def test_a_running_run_is_listed(trainer, waiting):
    listed = await trainer.stub.ListTrainingRuns(api.ListTrainingRunsRequest())
    assert [run.run_id for run in listed.runs] == [waiting.run_id]


async def test_an_unknown_run_is_not_found(trainer):
    code, details = await refusal(trainer.get("nobody"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert details[1].resource_type == "run_id"


@pytest.mark.parametrize("model_version", ["", "nobody"])
async def test_without_a_model_there_is_nothing_to_judge(trainer, model_version):
    call = trainer.stub.EvaluateModel(api.EvaluateModelRequest(model_version=model_version))
    code, details = await refusal(call)
    assert (code, details[1].resource_type) == (grpc.StatusCode.NOT_FOUND, "model_version")


async def test_an_unknown_run_cannot_be_watched(trainer):
    call = trainer.stub.WatchTrainingRun(api.WatchTrainingRunRequest(run_id="nobody"))
    assert (await refusal(call.read()))[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("GetTrainingRun", api.GetTrainingRunRequest(), "run_id"),
        ("StartTraining", api.StartTrainingRequest(max_minutes=-1), "max_minutes"),
        ("StartTraining", api.StartTrainingRequest(max_minutes=float("nan")), "max_minutes"),
        ("StartTraining", api.StartTrainingRequest(request_id="x" * 129), "request_id"),
        ("StartTraining", api.StartTrainingRequest(encoder="perceptron"), "encoder"),
        ("StartTraining", api.StartTrainingRequest(preset="tiny"), "preset"),
        ("ListTrainingRuns", api.ListTrainingRunsRequest(page_size=-1), "page_size"),
        ("ListModels", api.ListModelsRequest(page_size=1001), "page_size"),
        ("EvaluateModel", api.EvaluateModelRequest(protocol=99), "protocol"),
        ("EvaluateModel", api.EvaluateModelRequest(model_version="v\0"), "model_version"),
        ("StartTraining", api.StartTrainingRequest(request_id="a\0b"), "request_id"),
        ("GetTrainingRun", api.GetTrainingRunRequest(run_id="\0"), "run_id"),
        ("GetModel", api.GetModelRequest(model_version="\0"), "model_version"),
    ],
)
async def test_a_field_without_meaning_is_named(trainer, method, request_, field):
    code, details = await refusal(getattr(trainer.stub, method)(request_))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in details[1].field_violations] == [field]


async def test_a_run_that_waits_too_long_for_the_archive_fails_with_the_reason(new_world):
    world = await new_world()
    last = await world.happen(walks(range(2)), archived=False)
    async with world.trainer(train_archive_wait_seconds="0.5") as trainer:
        run = await trainer.trained()
    assert run.state == api.TRAINING_STATE_FAILED
    assert f"up to position 0, not up to {last}, after 0.5 s" in run.error


async def test_a_run_with_nothing_to_predict_fails_and_its_watch_ends(new_world):
    world = await new_world()
    await world.happen([("one", "thing")])
    async with world.trainer() as trainer:
        run = await asyncio.wait_for(trainer.trained(), 60)
        assert run == await trainer.get(run.run_id)
    assert run.state == api.TRAINING_STATE_FAILED
    assert "no user has two events" in run.error
