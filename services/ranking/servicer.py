"""The public ranking API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import count

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from nats.nuid import NUID

from freshet.ranking.v1 import ranking_pb2, ranking_pb2_grpc
from freshet.ranking.v1.ranking_pb2 import (
    DegradedReason,
    RankedItem,
    RankItemsRequest,
    RankItemsResponse,
    RecommendRequest,
    RecommendResponse,
    RecommendResult,
)
from services.ranking.answers.candidates import Candidates
from services.ranking.answers.exposures import ExposureLog, Shown
from services.ranking.answers.policy import Wish
from services.ranking.answers.recommender import Call, Recommender, Served
from services.ranking.model.model_slot import ModelSlot
from services.ranking.request import check, check_candidates, min_position
from shared.adapters.codecs.keys import item_keys, partition_of, user_key
from shared.adapters.jetstream.catalogue import Catalogue
from shared.domain.consistency import encode_token
from shared.runtime.errors import token_not_reached, unavailable
from shared.runtime.rpc import remaining_seconds, unary

DEFAULT_PAGE_SIZE = 20
LONGEST_WAIT_SECONDS = 5.0
_NONE = np.empty(0, np.uint64)


class RankingServicer(ranking_pb2_grpc.RankingServiceServicer):
    """Translates between messages and the recommender."""

    def __init__(
        self,
        recommender: Recommender,
        exposures: ExposureLog,
        slot: ModelSlot,
        catalogue: Catalogue,
        partitions: int,
    ) -> None:
        self._recommender = recommender
        self._exposures = exposures
        self._slot = slot
        self._catalogue = catalogue
        self._partitions = partitions
        self._process, self._numbers = NUID().next().decode(), count(1)

    @unary
    async def Recommend(
        self, request: RecommendRequest, context: grpc.aio.ServicerContext
    ) -> RecommendResponse:
        check(request, self._partitions)
        if request.validate_only:
            return RecommendResponse()
        partition = partition_of(user_key(request.user_id), self._partitions)
        excluded = item_keys(request.exclude_item_ids) if request.exclude_item_ids else _NONE
        wish = Wish(request.page_size or DEFAULT_PAGE_SIZE, excluded, request.with_probabilities)
        served = await self._served(request, wish, context)
        token = f"{self._process}{next(self._numbers):x}"
        self._exposures.add(Shown(request, token, served))
        return _response(served, token, partition, request.with_probabilities)

    @unary
    async def RankItems(
        self, request: RankItemsRequest, context: grpc.aio.ServicerContext
    ) -> RankItemsResponse:
        check_candidates(request, self._partitions)
        wish = Candidates(request.item_ids, item_keys(request.item_ids))
        served = await self._served(request, wish, context)
        return _ranked(served, partition_of(user_key(request.user_id), self._partitions))

    async def _served(
        self,
        request: RecommendRequest | RankItemsRequest,
        wish: Wish | Candidates,
        context: grpc.aio.ServicerContext,
    ) -> Served:
        """The answer, which reflects the token. Raises Refusal."""
        key = user_key(request.user_id)
        wanted = min_position(request.min_consistency_token, partition_of(key, self._partitions))
        wait_seconds = remaining_seconds(context, LONGEST_WAIT_SECONDS) if wanted else 0.0
        served = await self._recommender.recommend(Call(key, wanted, wait_seconds, wish))
        _honour_token(wanted, served)
        return served

    @unary
    async def GetModelStatus(
        self, request: ranking_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> ranking_pb2.GetModelStatusResponse:
        current = self._slot.current
        response = ranking_pb2.GetModelStatusResponse(
            swap_count=self._slot.swap_count, catalogue_item_count=len(self._catalogue)
        )
        for refusal in self._slot.refused:
            response.refused.add(
                model_version=refusal.model_version,
                reason=refusal.reason,
                refuse_time=_timestamp(refusal.refuse_time),
            )
        if current is not None:
            response.recommendable_item_count = current.recommendable
            response.serving.model_version = current.version
            response.serving.create_time.CopyFrom(_timestamp(current.create_time))
            response.serving.serving_time.CopyFrom(_timestamp(current.serving_time))
            response.serving.trained_to_position = current.scorer.manifest.log_to
            response.serving.item_count = len(current.scorer.item_keys)
            deltas = self._slot.deltas
            response.serving.delta_sequence = deltas.sequence
            response.serving.delta_position = deltas.position
            response.serving.delta_refused_reason = deltas.refused_reason
            response.serving.precision, response.serving.precision_reason = current.scorer.precision
            if (ranker := current.scorer.ranker) is not None:
                response.serving.objectives.extend(ranker.objectives)
                response.serving.probabilities_given = ranker.given
        return response


def _honour_token(wanted: int, served: Served) -> None:
    """Raise rather than answer with older state than the caller asked for."""
    if wanted <= served.state.position:
        return
    if served.state.stale:
        raise unavailable(
            "FEATURES_UNAVAILABLE", "the feature service does not answer; the token cannot be honoured"
        )
    raise token_not_reached(f"the state reflects position {served.state.position}, not yet {wanted}")


def _response(
    served: Served, attribution_token: str, partition: int, with_probabilities: bool
) -> RecommendResponse:
    response = RecommendResponse(
        attribution_token=attribution_token,
        model_version=served.model.version if served.model and served.answer.by_model else "",
        consistency_token=_token(served, partition),
        degraded=_degraded(served, with_probabilities),
    )
    add = response.results.add  # half the time of messages that are made first and copied into the list
    for place, item in enumerate(served.answer.items, 1):
        add(item_id=item.item_id, score=item.score, source=item.source, position=place, propensity=1.0)
    if with_probabilities:
        _fill(response.results, served)
    return response


def _ranked(served: Served, partition: int) -> RankItemsResponse:
    answer = served.answer
    by_model = served.model is not None and (answer.by_model or answer.probabilities is not None)
    response = RankItemsResponse(
        model_version=served.model.version if served.model and by_model else "",
        consistency_token=_token(served, partition),
        degraded=_degraded(served, with_probabilities=True),
    )
    add = response.results.add
    for place, item in enumerate(answer.items, 1):
        add(item_id=item.item_id, score=item.score, source=item.source, position=place)
    _fill(response.results, served)
    return response


def _fill(results: Iterable[RecommendResult | RankedItem], served: Served) -> None:
    """Write the probabilities that are known."""
    found, ranker = served.answer.probabilities, served.model.scorer.ranker if served.model else None
    if found is None or ranker is None:
        return
    for result, row in zip(results, found.tolist(), strict=True):
        if row[0] == row[0]:  # not NaN: the model knows the item
            result.probabilities.update(zip(ranker.objectives, row, strict=True))


def _token(served: Served, partition: int) -> str:
    position = served.state.position
    return encode_token({partition: position}) if position else ""


def _degraded(served: Served, with_probabilities: bool) -> list[DegradedReason]:
    reasons = []
    if served.state.stale:
        reasons.append(DegradedReason.DEGRADED_REASON_FEATURES_UNAVAILABLE)
    if served.model is None:
        reasons.append(DegradedReason.DEGRADED_REASON_NO_MODEL)
    elif not served.answer.by_model:
        reasons.append(DegradedReason.DEGRADED_REASON_NO_HISTORY)
    if with_probabilities and (served.model is None or served.model.scorer.ranker is None):
        reasons.append(DegradedReason.DEGRADED_REASON_NO_PROBABILITIES)
    return reasons


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
