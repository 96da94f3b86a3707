"""Folded state in packed arrays, for ranking."""

from __future__ import annotations

import grpc
import numpy as np

from freshet.feature.v1 import state_pb2, state_pb2_grpc
from services.feature.projection import Projection
from shared.adapters.keys import partition_of
from shared.domain.item_counters import trending
from shared.domain.preset import DomainPreset
from shared.domain.user_state import HISTORY_ENTRY
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument
from shared.runtime.rpc import unary

MAX_USERS = 1024
MAX_TRENDING = 10_000
DEFAULT_TRENDING = 1_000


class StateServicer(state_pb2_grpc.StateServiceServicer):
    """Reads the projection."""

    def __init__(
        self, projection: Projection, preset: DomainPreset, partitions: int, history_length: int
    ) -> None:
        self._projection = projection
        self._preset = preset
        self._partitions = partitions
        self._history_length = history_length

    @unary
    async def ReadUserStates(
        self, request: state_pb2.ReadUserStatesRequest, context: grpc.aio.ServicerContext
    ) -> state_pb2.ReadUserStatesResponse:
        self._projection.check_recovered()
        if len(request.user_keys) > MAX_USERS or len(request.min_positions) != len(request.user_keys):
            rule = f"at most {MAX_USERS}, with as many min_positions"
            raise invalid_argument([Violation("user_keys", rule, "OUT_OF_RANGE")])
        wanted = max(request.min_positions, default=0)
        if wanted > self._projection.position:
            await self._projection.reach(wanted, request.wait_seconds)
        return self._read(request.user_keys)

    def _read(self, user_keys) -> state_pb2.ReadUserStatesResponse:
        history = np.zeros((len(user_keys), self._history_length), HISTORY_ENTRY)
        consumed, ends, end = [], [], 0
        for row, key in enumerate(user_keys):
            state = self._projection.states.get(partition_of(key, self._partitions))
            user = state.users.read(key) if state is not None else None
            if user is not None:
                if len(user.history):
                    history[row, -len(user.history) :] = user.history
                consumed.append(user.consumed)
                end += len(user.consumed)
            ends.append(end)
        return state_pb2.ReadUserStatesResponse(
            history_length=self._history_length,
            item_key=history["item_key"].tobytes(),
            event_type=history["event_type"].tobytes(),
            time_ms=history["time_ms"].tobytes(),
            consumed_key=b"".join(keys.tobytes() for keys in consumed),
            consumed_end=ends,
            positions=[self._projection.position] * len(user_keys),
        )

    @unary
    async def ListTrendingItems(
        self, request: state_pb2.ListTrendingItemsRequest, context: grpc.aio.ServicerContext
    ) -> state_pb2.ListTrendingItemsResponse:
        self._projection.check_recovered()
        limit = min(request.limit or DEFAULT_TRENDING, MAX_TRENDING)
        counters = [state.items for state in self._projection.states.values()]
        keys, scores = trending(counters, self._preset, limit)
        return state_pb2.ListTrendingItemsResponse(item_key=keys.tobytes(), score=scores.tobytes())
