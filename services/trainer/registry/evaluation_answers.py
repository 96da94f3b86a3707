"""The table as `EvaluateModel` answers it, and why there is none."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.patience import StillAwayError
from services.trainer.processes.evaluation_jobs import ModelJob
from services.trainer.registry.model_evaluations import (
    JudgingAlreadyError,
    JudgingError,
    NotJudgeableError,
    UnknownModelError,
)
from shared.runtime.errors import Refusal, not_found, unavailable

PROTOCOL_NAMES = {
    api.EVALUATION_PROTOCOL_LEAVE_ONE_OUT: "leave-one-out",
    api.EVALUATION_PROTOCOL_TEMPORAL: "temporal",
    api.EVALUATION_PROTOCOL_PREQUENTIAL: "prequential",
}
NOT_JUDGED = (UnknownModelError, NotJudgeableError, JudgingError, JudgingAlreadyError, StillAwayError)
_METRICS = ("ndcg", "hit_rate", "mrr", "coverage")
_RETRY_SECONDS = 10


def as_response(
    job: ModelJob, protocol: api.EvaluationProtocol, board: dict[str, Any]
) -> api.EvaluateModelResponse:
    """A scoreboard's document as a message."""
    return api.EvaluateModelResponse(
        model_version=job.model_version,
        protocol=protocol,
        learned_to_position=job.learned_to,
        judged_to_position=job.to_position,
        question_count=board["questions"],
        user_count=board["users"],
        item_count=board["catalogue_items"],
        confidence=board["confidence"],
        standings=[_standing(each) for each in board["standings"]],
        gains=[_gain(each) for each in board["gains"]],
        verdict=" ".join(board["verdicts"]),
        prompted_event_count=board["prompted_events"],
        prompted_asked=board["prompted_asked"],
    )


def not_judged(error: Exception) -> Refusal:
    """Why there is no table."""
    text = str(error)
    match error:
        case UnknownModelError():
            return not_found("model_version", text)
        case NotJudgeableError():
            violation = error_details_pb2.PreconditionFailure.Violation(
                type="NOT_JUDGEABLE", subject="model_version", description=text
            )
            failure = error_details_pb2.PreconditionFailure(violations=[violation])
            return Refusal(grpc.StatusCode.FAILED_PRECONDITION, "NOT_JUDGEABLE", text, (failure,))
        case JudgingAlreadyError():
            retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS))
            return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "ALREADY_JUDGING", text, (retry,))
        case StillAwayError():
            return unavailable(
                "NATS_UNAVAILABLE", f"the model's bundle, or what was served, cannot be fetched: {text}"
            )
    return Refusal(grpc.StatusCode.INTERNAL, "JUDGING_FAILED", text)


def _standing(standing: dict[str, Any]) -> api.Standing:
    told = {name: standing[name] for name in ("name", "mode", "baseline", "best")}
    segments = {name: _figures(each) for name, each in standing["segments"].items()}
    return api.Standing(**told, overall=_figures(standing["overall"]), segments=segments)


def _figures(figures: dict[str, Any]) -> api.Figures:
    estimates = {name: api.Estimate(**figures[name]) for name in _METRICS}
    return api.Figures(question_count=figures["questions"], **estimates)


def _gain(gain: dict[str, Any]) -> api.Gain:
    return api.Gain(**{**gain, "difference": api.Estimate(**gain["difference"])})
