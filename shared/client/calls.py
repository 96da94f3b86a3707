"""What the SDK can ask: each function describes one call and does no I/O.

The clients make a method of each of these functions; what is documented here holds for both of them.
Times are in seconds. Every call can raise a `FreshetError`. A bare string in the place of a list of ids, and what is
no `UserEvent` in the place of one, is a TypeError.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypedDict, TypeVar, Unpack

from google.protobuf.message import Message

from freshet.catalog.v1.item_pb2 import Item
from freshet.catalog.v1.user_pb2 import User
from freshet.event.v1.event_pb2 import UserEvent
from freshet.feature.v1 import feature_pb2 as feature
from freshet.ingestion.v1 import ingestion_pb2 as ingestion
from freshet.ranking.v1 import ranking_pb2 as ranking
from freshet.trainer.v1 import trainer_pb2 as trainer
from shared.client.events import listed, with_event_id

DEFAULT_TIMEOUT_SECONDS = 5.0
BATCH_TIMEOUT_SECONDS = 30.0
ERASE_TIMEOUT_SECONDS = 60.0
EVALUATE_TIMEOUT_SECONDS = 600.0
PROMOTE_TIMEOUT_SECONDS = 30.0
WATCH_TIMEOUT_SECONDS = 86_400.0

Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True, slots=True)
class Call(Generic[Response]):
    """One call: the service that answers, the RPC's name, the request, and the deadline it has by default, if any."""

    service: str
    method: str
    request: Message
    timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS


class StreamCall(Call[Response]):
    """A call that answers with a stream of responses."""

    __slots__ = ()


class RecommendFields(TypedDict, total=False):
    """What `recommend` takes besides the user; meanings as in `freshet.ranking.v1.RecommendRequest`."""

    session_id: str
    placement: str
    page_size: int
    exclude_item_ids: Iterable[str]
    min_consistency_token: str
    validate_only: bool
    with_probabilities: bool


class RankItemsFields(TypedDict, total=False):
    """What `rank_items` takes besides user and items; meanings as in `freshet.ranking.v1.RankItemsRequest`."""

    session_id: str
    placement: str
    min_consistency_token: str


def write_user_event(
    user_event: UserEvent, validate_only: bool = False
) -> Call[ingestion.WriteUserEventResponse]:
    """Writes one event; answers once it is on disk. An event without an id gets one, in place."""
    request = ingestion.WriteUserEventRequest(
        user_event=with_event_id(user_event), validate_only=validate_only
    )
    return Call("ingestion", "WriteUserEvent", request)


def batch_write_user_events(
    user_events: Iterable[UserEvent],
) -> Call[ingestion.BatchWriteUserEventsResponse]:
    """Writes up to 1,000 events in this order, each with an outcome. Those without an id get one."""
    events = [with_event_id(event, f"user_events[{index}]") for index, event in enumerate(user_events)]
    request = ingestion.BatchWriteUserEventsRequest(user_events=events)
    return Call("ingestion", "BatchWriteUserEvents", request, BATCH_TIMEOUT_SECONDS)


def upsert_items(items: Iterable[Item]) -> Call[ingestion.UpsertItemsResponse]:
    """Creates or replaces up to 1,000 items, each with an outcome of its own."""
    return Call("ingestion", "UpsertItems", ingestion.UpsertItemsRequest(items=items), BATCH_TIMEOUT_SECONDS)


def erase_user(user_id: str) -> Call[ingestion.EraseUserResponse]:
    """Removes all that is stored of a user. Without `complete_time` in the receipt the deadline came first: it goes on,
    and the same call waits for it again."""
    return Call("ingestion", "EraseUser", ingestion.EraseUserRequest(user_id=user_id), ERASE_TIMEOUT_SECONDS)


def delete_items(item_ids: Iterable[str]) -> Call[ingestion.DeleteItemsResponse]:
    """Takes up to 1,000 items out of the catalogue; the outcome is DUPLICATE for those that are not in it."""
    request = ingestion.DeleteItemsRequest(item_ids=listed("item_ids", item_ids))
    return Call("ingestion", "DeleteItems", request, BATCH_TIMEOUT_SECONDS)


def upsert_users(users: Iterable[User]) -> Call[ingestion.UpsertUsersResponse]:
    """Creates or replaces up to 1,000 users, each with an outcome of its own."""
    return Call("ingestion", "UpsertUsers", ingestion.UpsertUsersRequest(users=users), BATCH_TIMEOUT_SECONDS)


def list_dead_letters(
    page_size: int = 0, page_token: str = "", reason: str = "", include_redriven: bool = False
) -> Call[ingestion.ListDeadLettersResponse]:
    """Refused messages, the newest first; 0 means 50. A page may be short: only an empty token is the end."""
    request = ingestion.ListDeadLettersRequest(
        page_size=page_size, page_token=page_token, reason=reason, include_redriven=include_redriven
    )
    return Call("ingestion", "ListDeadLetters", request, BATCH_TIMEOUT_SECONDS)


def redrive_dead_letters(
    redrives: Iterable[str | ingestion.DeadLetterRedrive],
) -> Call[ingestion.RedriveDeadLettersResponse]:
    """Sends up to 500 letters again: ids for messages as they came, `DeadLetterRedrive`s for corrected events."""
    wishes = [
        ingestion.DeadLetterRedrive(dead_letter_id=each) if isinstance(each, str) else each
        for each in listed("redrives", redrives)
    ]
    request = ingestion.RedriveDeadLettersRequest(redrives=wishes)
    return Call("ingestion", "RedriveDeadLetters", request, BATCH_TIMEOUT_SECONDS)


def get_user_features(
    user_id: str, min_consistency_token: str = "", as_of_position: int = 0
) -> Call[feature.GetUserFeaturesResponse]:
    """What is folded of one user, now or as of a past position. Raises FailedPrecondition if the token is not reached
    by the deadline, or within 5 seconds, InvalidArgument for a position that the log does not hold."""
    request = feature.GetUserFeaturesRequest(
        user_id=user_id, min_consistency_token=min_consistency_token, as_of_position=as_of_position
    )
    return Call("feature", "GetUserFeatures", request)


def watch_user_features(user_id: str) -> StreamCall[feature.WatchUserFeaturesResponse]:
    """What is folded of one user, now and after each change. Raises Unavailable when the service goes down: watch again
    then."""
    request = feature.WatchUserFeaturesRequest(user_id=user_id)
    return StreamCall("feature", "WatchUserFeatures", request, WATCH_TIMEOUT_SECONDS)


def batch_get_item_features(
    item_ids: Iterable[str], min_consistency_token: str = ""
) -> Call[feature.BatchGetItemFeaturesResponse]:
    """What users did with up to 1,000 items, in the order of the ids."""
    request = feature.BatchGetItemFeaturesRequest(
        item_ids=listed("item_ids", item_ids), min_consistency_token=min_consistency_token
    )
    return Call("feature", "BatchGetItemFeatures", request)


def recommend(user_id: str, **fields: Unpack[RecommendFields]) -> Call[ranking.RecommendResponse]:
    """Recommends items, the best first. FailedPrecondition: the consistency token is not reached."""
    listed("exclude_item_ids", fields.get("exclude_item_ids", ()))
    return Call("ranking", "Recommend", ranking.RecommendRequest(user_id=user_id, **fields))


def rank_items(
    user_id: str, item_ids: Iterable[str], **fields: Unpack[RankItemsFields]
) -> Call[ranking.RankItemsResponse]:
    """Ranks 1 to 500 items, the best first, each with the probability of each behaviour; nothing is logged as shown.
    FailedPrecondition: the consistency token is not reached."""
    request = ranking.RankItemsRequest(user_id=user_id, item_ids=listed("item_ids", item_ids), **fields)
    return Call("ranking", "RankItems", request)


def get_model_status() -> Call[ranking.GetModelStatusResponse]:
    """Which model serves, since when, and which ones were refused and why."""
    return Call("ranking", "GetModelStatus", ranking.GetModelStatusRequest())


def start_training(
    max_minutes: float = 0.0, request_id: str = "", encoder: str = "", preset: str = "", full: bool = False
) -> Call[trainer.StartTrainingResponse]:
    """Starts a run; 0 and empty: the deployment's settings. full: begins anew, not on from the champion.

    Raises ResourceExhausted while one is running.
    """
    request = trainer.StartTrainingRequest(
        request_id=request_id or uuid.uuid4().hex,
        max_minutes=max_minutes,
        encoder=encoder,
        preset=preset,
        full=full,
    )
    return Call("trainer", "StartTraining", request)


def get_training_run(run_id: str) -> Call[trainer.GetTrainingRunResponse]:
    """One run as it is now. Raises NotFound."""
    return Call("trainer", "GetTrainingRun", trainer.GetTrainingRunRequest(run_id=run_id))


def list_training_runs(page_size: int = 0) -> Call[trainer.ListTrainingRunsResponse]:
    """The newest runs, the newest first; 0 means 20."""
    return Call("trainer", "ListTrainingRuns", trainer.ListTrainingRunsRequest(page_size=page_size))


def watch_training_run(run_id: str) -> StreamCall[trainer.WatchTrainingRunResponse]:
    """One run as it goes; the stream ends after the message that tells its end. Raises NotFound."""
    request = trainer.WatchTrainingRunRequest(run_id=run_id)
    return StreamCall("trainer", "WatchTrainingRun", request, WATCH_TIMEOUT_SECONDS)


def list_models(page_size: int = 0) -> Call[trainer.ListModelsResponse]:
    """The newest models, the newest first, with their metrics; 0 means 20."""
    return Call("trainer", "ListModels", trainer.ListModelsRequest(page_size=page_size))


def get_model(model_version: str = "", include_card: bool = False) -> Call[trainer.GetModelResponse]:
    """One model, by default the champion, on demand with its card. Raises NotFound."""
    request = trainer.GetModelRequest(model_version=model_version, include_card=include_card)
    return Call("trainer", "GetModel", request, PROMOTE_TIMEOUT_SECONDS)


def promote_model(model_version: str, reason: str) -> Call[trainer.PromoteModelResponse]:
    """Makes a model the champion. Raises NotFound, FailedPrecondition when its bundle is no longer stored."""
    request = trainer.PromoteModelRequest(model_version=model_version, reason=reason)
    return Call("trainer", "PromoteModel", request, PROMOTE_TIMEOUT_SECONDS)


def rollback_model(
    reason: str, model_version: str = "", request_id: str = ""
) -> Call[trainer.RollbackModelResponse]:
    """Makes the champion before the present one champion again; model_version: only if that is the champion now.

    Raises FailedPrecondition when there is none to return to.
    """
    request = trainer.RollbackModelRequest(
        reason=reason, model_version=model_version, request_id=request_id or uuid.uuid4().hex
    )
    return Call("trainer", "RollbackModel", request, PROMOTE_TIMEOUT_SECONDS)


def evaluate_model(
    model_version: str = "",
    protocol: trainer.EvaluationProtocol = trainer.EVALUATION_PROTOCOL_TEMPORAL,
) -> Call[trainer.EvaluateModelResponse]:
    """Judges a model, by default the champion, beside the baselines on traffic later than its training.

    Raises NotFound for an unknown model, FailedPrecondition when there is no later traffic, ResourceExhausted while
    another model is judged.
    """
    request = trainer.EvaluateModelRequest(model_version=model_version, protocol=protocol)
    return Call("trainer", "EvaluateModel", request, EVALUATE_TIMEOUT_SECONDS)
