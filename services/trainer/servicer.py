"""The gRPC door."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from freshet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.trainer.model.encoders.names import KINDS, PRESET_NAMES
from services.trainer.patience import first_line
from services.trainer.registry.evaluation_answers import NOT_JUDGED, PROTOCOL_NAMES, as_response, not_judged
from services.trainer.registry.model_calls import ModelCalls, not_promoted
from services.trainer.registry.model_evaluations import ModelEvaluations
from services.trainer.registry.promoting import NotPromotableError
from services.trainer.request import check, check_texts, request_id_violations
from services.trainer.runs.run_directories import Wish
from services.trainer.runs.runs import AlreadyRunningError, NotOpenError, Runs
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.leadership import Leadership
from shared.domain.violation import Violation
from shared.runtime.errors import Refusal, invalid_argument, not_found, unavailable
from shared.runtime.rpc import streaming, unary

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 1000
_LONGEST_MINUTES = 1440.0
_RETRY_SECONDS = 30


def refusing(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turns what the runs and PostgreSQL raise into refusals. A defect of a statement is none: it stays an error."""

    @functools.wraps(handler)
    async def call(self: TrainerServicer, request: Message, context: grpc.aio.ServicerContext) -> Any:
        self.check_ready()
        check_texts(request)
        try:
            return await handler(self, request, context)
        except DEFECTS:
            raise
        except (AlreadyRunningError, NotOpenError, NotPromotableError, *NOT_JUDGED, *UNAVAILABLE) as error:
            raise _refusal(error) from error

    return call


class TrainerServicer(trainer_pb2_grpc.TrainerServiceServicer):
    """Translates between messages and runs; decides nothing."""

    def __init__(
        self, runs: Runs, evaluations: ModelEvaluations, models: ModelCalls, leadership: Leadership
    ) -> None:
        self._runs = runs
        self._leadership = leadership
        self._evaluations = evaluations
        self._models = models

    def check_ready(self) -> None:
        """Raises a refusal until the runs of an earlier process are in order."""
        if self._leadership.stands_by:
            raise _refusal(
                NotOpenError("this trainer stands by: another one leads in its namespace; call that one")
            )
        if not self._runs.recovered:
            raise _refusal(NotOpenError("the trainer is starting"))

    @unary
    @refusing
    async def StartTraining(
        self, request: trainer_pb2.StartTrainingRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.StartTrainingResponse:
        check(_start_violations(request))
        wish = Wish(request.max_minutes, request.encoder, request.preset, request.full)
        run = await self._runs.start(trainer_pb2.TRAINING_TRIGGER_REQUEST, request.request_id, wish)
        return trainer_pb2.StartTrainingResponse(run=run)

    @unary
    @refusing
    async def GetTrainingRun(
        self, request: trainer_pb2.GetTrainingRunRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.GetTrainingRunResponse:
        return trainer_pb2.GetTrainingRunResponse(run=await self._run(request.run_id))

    @unary
    @refusing
    async def ListTrainingRuns(
        self, request: trainer_pb2.ListTrainingRunsRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.ListTrainingRunsResponse:
        runs = await self._runs.newest(_page(request.page_size))
        return trainer_pb2.ListTrainingRunsResponse(runs=runs)

    @streaming
    async def WatchTrainingRun(
        self, request: trainer_pb2.WatchTrainingRunRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[trainer_pb2.WatchTrainingRunResponse]:
        self.check_ready()
        check_texts(request)
        try:
            await self._run(request.run_id)
            async for run in self._runs.watch(request.run_id):
                yield trainer_pb2.WatchTrainingRunResponse(run=run)
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            raise _refusal(error) from error

    @unary
    @refusing
    async def ListModels(
        self, request: trainer_pb2.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.ListModelsResponse:
        return await self._models.list_models(_page(request.page_size))

    @unary
    @refusing
    async def GetModel(
        self, request: trainer_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.GetModelResponse:
        return await self._models.get(request)

    @unary
    @refusing
    async def PromoteModel(
        self, request: trainer_pb2.PromoteModelRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.PromoteModelResponse:
        return await self._models.promote(request)

    @unary
    @refusing
    async def RollbackModel(
        self, request: trainer_pb2.RollbackModelRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.RollbackModelResponse:
        return await self._models.roll_back(request)

    @unary
    @refusing
    async def EvaluateModel(
        self, request: trainer_pb2.EvaluateModelRequest, context: grpc.aio.ServicerContext
    ) -> trainer_pb2.EvaluateModelResponse:
        protocol = request.protocol or trainer_pb2.EVALUATION_PROTOCOL_TEMPORAL
        if protocol not in PROTOCOL_NAMES:
            text = f"is {protocol}; must be one of EvaluationProtocol"
            raise invalid_argument([Violation("protocol", text, "OUT_OF_RANGE")])
        job, judged = await self._evaluations.judge(request.model_version, PROTOCOL_NAMES[protocol])
        return as_response(job, protocol, judged.document)

    async def _run(self, run_id: str) -> trainer_pb2.TrainingRun:
        if not run_id:
            raise invalid_argument([Violation("run_id", "is required", "REQUIRED")])
        run = await self._runs.get(run_id)
        if run is None:
            raise not_found("run_id", f"there is no training run {run_id[:64]!r}")
        return run


def _start_violations(request: trainer_pb2.StartTrainingRequest) -> list[Violation]:
    found = request_id_violations(request.request_id)
    if not (math.isfinite(request.max_minutes) and 0.0 <= request.max_minutes <= _LONGEST_MINUTES):
        text = f"is {request.max_minutes:g}; must lie from 0 to {_LONGEST_MINUTES:,.0f}"
        found.append(Violation("max_minutes", text, "OUT_OF_RANGE"))
    for field, known in (("encoder", KINDS), ("preset", PRESET_NAMES)):
        if (value := getattr(request, field)) and value not in known:
            text = f"is {value[:64]!r}; must be one of {', '.join(known)}"
            found.append(Violation(field, text, "UNKNOWN"))
    return found


def _page(size: int) -> int:
    if not 0 <= size <= _LARGEST_PAGE:
        text = f"is {size}; must lie from 0 to {_LARGEST_PAGE:,}"
        raise invalid_argument([Violation("page_size", text, "OUT_OF_RANGE")])
    return size or _DEFAULT_PAGE


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, AlreadyRunningError):
        return _already_running(error)
    if isinstance(error, NotPromotableError):
        return not_promoted(error)
    if isinstance(error, NOT_JUDGED):
        return not_judged(error)
    if isinstance(error, NotOpenError):
        return unavailable("TRAINER_NOT_READY", str(error))
    return unavailable("DATABASE_UNAVAILABLE", f"PostgreSQL cannot be reached: {first_line(error)}")


def _already_running(error: AlreadyRunningError) -> Refusal:
    resource = error_details_pb2.ResourceInfo(
        resource_type="run_id", resource_name=error.run_id, description=str(error)
    )
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS))
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "ALREADY_RUNNING", str(error), (resource, retry))
