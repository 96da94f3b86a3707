"""The users' state from the feature service, and what was last known of it while that service is away."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import grpc
import numpy as np
import structlog

from freshet.feature.v1.state_pb2 import (
    ListTrendingItemsRequest,
    ReadUserStatesRequest,
    ReadUserStatesResponse,
)
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from services.ranking.erased_users import ErasedUsers
from services.ranking.user_state import UNKNOWN_USER, UserState

_log = structlog.get_logger("user_states")
REMEMBERED_USERS = 20_000
MARGIN_SECONDS = 0.5
_EMPTY = np.empty(0, np.uint64)


class UserStates:
    """Reads states in batches."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float, erased: ErasedUsers) -> None:
        self._stub = StateServiceStub(channel)
        self._erased = erased
        self._timeout_seconds = timeout_seconds
        self._last: OrderedDict[int, UserState] = OrderedDict()
        self.position = 0

    async def read(
        self, user_keys: Sequence[int], min_positions: Sequence[int], wait_seconds: float
    ) -> list[UserState]:
        """States of users, each reflecting its min position if that is reached within `wait_seconds`.
        While the feature service is away: what was last known, marked stale."""
        request = ReadUserStatesRequest(
            user_keys=user_keys, min_positions=min_positions, wait_seconds=wait_seconds
        )
        timeout = wait_seconds + MARGIN_SECONDS if wait_seconds else self._timeout_seconds
        try:
            response = await self._stub.ReadUserStates(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            _log.warning("feature service does not answer", code=error.code().name)
            return [self._last_known(key)._replace(stale=True) for key in user_keys]
        states = _unpack(response, len(user_keys))
        self._remember(user_keys, states)
        return states

    def _last_known(self, key: int) -> UserState:
        """What was last read of a user; nothing of what was erased since."""
        state = self._last.get(key, UNKNOWN_USER)
        return UNKNOWN_USER if self._erased.covers(key, state.position) else state

    def forget(self, key: int) -> None:
        """Forget what is remembered of a user."""
        self._last.pop(key, None)

    def _remember(self, user_keys: Sequence[int], states: Sequence[UserState]) -> None:
        self.position = states[-1].position
        for key, state in zip(user_keys, states, strict=True):
            if self._erased.covers(key, state.position):
                continue  # read before the erasure
            self._last[key] = _copy(state)  # a view would keep the whole batch in memory
            self._last.move_to_end(key)
        while len(self._last) > REMEMBERED_USERS:
            self._last.popitem(last=False)


class Trending:
    """What is trending, read every so often; the last answer stays while the feature service is away."""

    def __init__(self, channel: grpc.aio.Channel, refresh_seconds: float) -> None:
        self.item_keys = _EMPTY
        self.scores = np.empty(0, np.float32)
        self._stub = StateServiceStub(channel)
        self._refresh_seconds = refresh_seconds

    async def follow(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                answer = await self._stub.ListTrendingItems(ListTrendingItemsRequest(), timeout=5)
                self.item_keys = np.frombuffer(answer.item_key, np.uint64)
                self.scores = np.frombuffer(answer.score, np.float32)
            except grpc.aio.AioRpcError as error:
                _log.debug("trending items not refreshed", code=error.code().name)
            await asyncio.sleep(self._refresh_seconds)


def _copy(state: UserState) -> UserState:
    return UserState(
        state.item_key.copy(),
        state.event_type.copy(),
        state.time_ms.copy(),
        state.consumed.copy(),
        state.position,
    )


def _unpack(response: ReadUserStatesResponse, users: int) -> list[UserState]:
    shape = (users, response.history_length)
    item_key = np.frombuffer(response.item_key, np.uint64).reshape(shape)
    event_type = np.frombuffer(response.event_type, np.uint8).reshape(shape)
    time_ms = np.frombuffer(response.time_ms, np.int64).reshape(shape)
    consumed = np.frombuffer(response.consumed_key, np.uint64)
    ends = [0, *response.consumed_end]
    return [
        UserState(item_key[i], event_type[i], time_ms[i], consumed[ends[i] : ends[i + 1]], position)
        for i, position in enumerate(response.positions)
    ]
