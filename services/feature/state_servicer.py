"""Folded state in packed arrays, for ranking and for other instances of this service."""

from __future__ import annotations

import grpc
import numpy as np
import structlog

from freshet.feature.v1 import state_pb2, state_pb2_grpc
from services.feature.absent_users import READ_SECONDS
from services.feature.projection import Projection
from shared.domain.items.item_counters import trending
from shared.domain.violation import Violation
from shared.runtime.errors import Refusal, invalid_argument
from shared.runtime.rpc import remaining_seconds, unary

_log = structlog.get_logger("state_servicer")
LONGEST_WAIT_SECONDS = 60.0
MAX_USERS = 1024
MAX_ITEMS = 1000
MAX_TRENDING = 10_000
DEFAULT_TRENDING = 1_000


class StateServicer(state_pb2_grpc.StateServiceServicer):
    """Reads the projection."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._state = projection.state

    @unary
    async def ReadUserStates(
        self, request: state_pb2.ReadUserStatesRequest, context: grpc.aio.ServicerContext
    ) -> state_pb2.ReadUserStatesResponse:
        self._projection.check_recovered()
        if len(request.user_keys) > MAX_USERS or len(request.min_positions) != len(request.user_keys):
            rule = f"at most {MAX_USERS}, with as many min_positions"
            raise invalid_argument([Violation("user_keys", rule, "OUT_OF_RANGE")])
        keys = np.array(request.user_keys, np.uint64)
        self._check_owned(keys)
        await self._reach(max(request.min_positions, default=0), request.wait_seconds)
        if len(self._state.users.away):
            await self._bring_back(keys, remaining_seconds(context, 2 * READ_SECONDS) / 2)
        return self._read(keys)

    async def _bring_back(self, user_keys: np.ndarray, wait_seconds: float) -> None:
        """Those who cannot be brought back hold up nobody else: the answer tells which rows they are."""
        try:
            await self._projection.bring_back(user_keys, wait_seconds)
        except Refusal as refusal:
            _log.debug("users are absent", reason=refusal.reason)

    def _check_owned(self, user_keys: np.ndarray) -> None:
        """Raise INVALID_ARGUMENT for a user of another instance: an empty answer at this one's position would be
        false."""
        owned = self._state.positions
        if len(owned) == self._state.settings.partitions:
            return
        if not np.isin(self._state.partition_of(user_keys), list(owned)).all():
            rule = f"one belongs to another instance; this one owns partitions {sorted(owned)}"
            raise invalid_argument([Violation("user_keys", rule, "OTHER_INSTANCE")])

    async def _reach(self, position: int, wait_seconds: float) -> None:
        if position > self._projection.position and wait_seconds > 0:  # which NaN is not
            await self._projection.reach(position, min(wait_seconds, LONGEST_WAIT_SECONDS))

    def _read(self, user_keys: np.ndarray) -> state_pb2.ReadUserStatesResponse:
        users = self._state.users
        history = users.histories(users.rows_of(user_keys))
        consumed = users.preset.consumes[history["event_type"]]
        departed = [users.departed_of(key) for key in user_keys.tolist()]
        parts = [
            part
            for row, mask in enumerate(consumed)
            for part in (history["item_key"][row, mask], departed[row])
        ]
        counts = consumed.sum(axis=1) + [len(each) for each in departed]
        return state_pb2.ReadUserStatesResponse(
            history_length=users.history_length,
            item_key=history["item_key"].tobytes(),
            event_type=history["event_type"].tobytes(),
            time_ms=history["time_ms"].tobytes(),
            consumed_key=b"".join(part.tobytes() for part in parts),
            consumed_end=np.cumsum(counts).tolist(),
            positions=[self._projection.position] * len(user_keys),
            absent_rows=np.flatnonzero(users.away.among(user_keys)).tolist(),
        )

    @unary
    async def ListTrendingItems(
        self, request: state_pb2.ListTrendingItemsRequest, context: grpc.aio.ServicerContext
    ) -> state_pb2.ListTrendingItemsResponse:
        self._projection.check_recovered()
        limit = min(request.limit or DEFAULT_TRENDING, MAX_TRENDING)
        trend = trending(self._state.items, self._state.settings.preset, limit, request.time_ms)
        return state_pb2.ListTrendingItemsResponse(
            item_key=trend.item_keys.tobytes(),
            score=trend.scores.astype(np.float32).tobytes(),
            time_ms=trend.time_ms,
        )

    @unary
    async def ReadItemCounters(
        self, request: state_pb2.ReadItemCountersRequest, context: grpc.aio.ServicerContext
    ) -> state_pb2.ReadItemCountersResponse:
        self._projection.check_recovered()
        if len(request.item_keys) > MAX_ITEMS:
            raise invalid_argument([Violation("item_keys", f"at most {MAX_ITEMS}", "OUT_OF_RANGE")])
        await self._reach(request.min_position, request.wait_seconds)
        records = self._state.items.rows_of(list(request.item_keys))
        return state_pb2.ReadItemCountersResponse(
            records=records.tobytes(), position=self._projection.position
        )
