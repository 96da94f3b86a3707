"""Public features of users and items."""

from __future__ import annotations

import math

import grpc

from freshet.feature.v1 import feature_pb2, feature_pb2_grpc
from services.feature.projection import Projection
from shared.adapters.catalogue import Catalogue
from shared.adapters.keys import item_key, partition_of, user_key
from shared.domain.consistency import MalformedTokenError, decode_token, encode_token
from shared.domain.event import EventType
from shared.domain.item_counters import merge_item
from shared.domain.preset import DomainPreset
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument, token_not_reached
from shared.runtime.rpc import remaining_seconds, unary

MAX_ITEMS = 1000
LONGEST_WAIT_SECONDS = 5.0


class FeatureServicer(feature_pb2_grpc.FeatureServiceServicer):
    """Reads the projection."""

    def __init__(
        self, projection: Projection, catalogue: Catalogue, preset: DomainPreset, partitions: int
    ) -> None:
        self._projection = projection
        self._catalogue = catalogue
        self._preset = preset
        self._partitions = partitions

    @unary
    async def GetUserFeatures(
        self, request: feature_pb2.GetUserFeaturesRequest, context: grpc.aio.ServicerContext
    ) -> feature_pb2.GetUserFeaturesResponse:
        if not request.user_id:
            raise invalid_argument([Violation("user_id", "is required", "REQUIRED")])
        key = user_key(request.user_id)
        partition = partition_of(key, self._partitions)
        if partition not in self._projection.states:
            owned = f"belongs to partition {partition}, which another instance owns"
            raise invalid_argument([Violation("user_id", owned, "OTHER_INSTANCE")])
        await self._reach(request.min_consistency_token, context, partition)
        response = feature_pb2.GetUserFeaturesResponse(
            user_id=request.user_id, consistency_token=encode_token({partition: self._projection.position})
        )
        self._describe_user(response, partition, key)
        return response

    def _describe_user(self, response: feature_pb2.GetUserFeaturesResponse, partition: int, key: int) -> None:
        user = self._projection.states[partition].users.read(key)
        if user is None:
            return
        response.consumed_item_count = len(user.consumed)
        for code, number in enumerate(user.event_count.tolist()):
            if number:
                response.event_counts[EventType(code).word] = number
        for item, time_ms, value, event_type in user.history.tolist():
            entry = response.history.add(
                item_id=self._catalogue.id_of(item) or "",
                item_key=item,
                event_type=EventType(event_type).word,
            )
            entry.event_time.FromMilliseconds(time_ms)
            if not math.isnan(value):
                entry.value = value

    @unary
    async def BatchGetItemFeatures(
        self, request: feature_pb2.BatchGetItemFeaturesRequest, context: grpc.aio.ServicerContext
    ) -> feature_pb2.BatchGetItemFeaturesResponse:
        if not 1 <= len(request.item_ids) <= MAX_ITEMS:
            size = f"has {len(request.item_ids)}; must have 1 to {MAX_ITEMS:,}"
            raise invalid_argument([Violation("item_ids", size, "OUT_OF_RANGE")])
        await self._reach(request.min_consistency_token, context)
        position = self._projection.position
        return feature_pb2.BatchGetItemFeaturesResponse(
            item_features=[self._item(item_id) for item_id in request.item_ids],
            consistency_token=encode_token(dict.fromkeys(self._projection.states, position)),
        )

    def _item(self, item_id: str) -> feature_pb2.ItemFeatures:
        key = item_key(item_id)
        parts = [
            part for state in self._projection.states.values() if (part := state.items.read(key)) is not None
        ]
        features = feature_pb2.ItemFeatures(item_id=item_id)
        if not parts:
            return features
        merged = merge_item(parts, self._preset)
        for code, number in enumerate(merged["event_count"].tolist()):
            if number:
                features.event_counts[EventType(code).word] = number
        features.trending_score = float(merged["decayed_count"] @ self._preset.weight)
        features.last_event_time.FromMilliseconds(int(merged["time_ms"]))
        return features

    async def _reach(
        self, token: str, context: grpc.aio.ServicerContext, partition: int | None = None
    ) -> None:
        """Wait for what the token covers, of one partition or of all that this instance owns."""
        self._projection.check_recovered()
        try:
            positions = decode_token(token)
        except MalformedTokenError as error:
            raise invalid_argument([Violation("min_consistency_token", str(error), "MALFORMED")]) from None
        owned = self._projection.states if partition is None else (partition,)
        wanted = max((positions.get(each, 0) for each in owned), default=0)
        if not await self._projection.reach(wanted, remaining_seconds(context, LONGEST_WAIT_SECONDS)):
            raise token_not_reached(
                f"the state reflects position {self._projection.position}, not yet {wanted}"
            )
