"""The users' state from the feature service, and what was last known of it while that service is away.

A service that is gone refuses at once. One that is frozen, or behind a network that swallows packets, lets whoever asks
wait: from the first read that waited in vain to the next answer one read at a time finds out, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import chain

import grpc
import numpy as np
import structlog

from freshet.feature.v1.state_pb2 import ReadUserStatesRequest, ReadUserStatesResponse
from services.ranking.features.erased_users import ErasedUsers
from services.ranking.features.feature_instances import FeatureInstance, FeatureInstances
from services.ranking.features.user_state import UNKNOWN_USER, UserState
from shared.runtime.rpc import answer_margin

_log = structlog.get_logger("user_states")
REMEMBERED_USERS = 20_000


class UserStates:
    """Reads states in batches."""

    def __init__(self, instances: FeatureInstances, timeout_seconds: float, erased: ErasedUsers) -> None:
        self._instances = instances
        self._erased = erased
        self._timeout_seconds = timeout_seconds
        self._last: OrderedDict[int, UserState] = OrderedDict()
        self._listening: dict[FeatureInstance, asyncio.Task[None]] = {}

    def owner_of(self, user_key: int) -> str:
        """The address of the instance that owns the user."""
        return self._instances.of(user_key).address

    def reflects(self, user_key: int, position: int) -> bool:
        """Whether the instance that owns the user has been seen at `position` or further."""
        return position <= self._instances.of(user_key).position

    async def read(
        self, user_keys: Sequence[int], min_positions: Sequence[int], wait_seconds: float
    ) -> list[UserState]:
        """States of users, each reflecting its min position if that is reached within `wait_seconds`.
        While the instance that owns a user, or the user's state, is away: what was last known, marked stale."""
        if len(self._instances.all) == 1:
            return await self._ask(self._instances.all[0], user_keys, min_positions, wait_seconds)
        shares: defaultdict[FeatureInstance, list[int]] = defaultdict(list)
        for place, key in enumerate(user_keys):
            shares[self._instances.of(key)].append(place)
        answers = await asyncio.gather(
            *[
                self._ask(
                    instance,
                    [user_keys[place] for place in places],
                    [min_positions[place] for place in places],
                    wait_seconds,
                )
                for instance, places in shares.items()
            ]
        )
        found = zip(chain.from_iterable(shares.values()), chain.from_iterable(answers), strict=True)
        return [state for _, state in sorted(found, key=lambda each: each[0])]

    async def _ask(
        self,
        instance: FeatureInstance,
        user_keys: Sequence[int],
        min_positions: Sequence[int],
        wait_seconds: float,
    ) -> list[UserState]:
        """Whoever waits for a position has the time to wait for a silent instance, too."""
        if not instance.silent or wait_seconds:
            return await self._read(instance, user_keys, min_positions, wait_seconds)
        if instance not in self._listening:
            self._listening[instance] = asyncio.create_task(self._listen(instance, user_keys[0]))
        return self._stale(user_keys)

    async def _listen(self, instance: FeatureInstance, user_key: int) -> None:
        """Read one user until the instance answers."""
        try:
            while instance.silent:
                await self._read(instance, [user_key], [0], 0.0)
        finally:
            del self._listening[instance]

    async def _read(
        self,
        instance: FeatureInstance,
        user_keys: Sequence[int],
        min_positions: Sequence[int],
        wait_seconds: float,
    ) -> list[UserState]:
        # What is asked waits less than whoever asks: an answer takes its time, too, and a call has a deadline.
        request = ReadUserStatesRequest(
            user_keys=user_keys,
            min_positions=min_positions,
            wait_seconds=max(0.0, wait_seconds - answer_margin(wait_seconds)),
        )
        timeout = wait_seconds or self._timeout_seconds
        try:
            response = await instance.stub.ReadUserStates(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            _log.warning("feature service does not answer", address=instance.address, code=error.code().name)
            timed_out = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            # Who had less time than that may have had too little.
            instance.silent = timed_out and (instance.silent or timeout >= self._timeout_seconds)
            return self._stale(user_keys)
        instance.silent = False
        states = _unpack(response, len(user_keys))
        instance.position = states[-1].position
        for row in response.absent_rows:
            states[row] = self._last_known(user_keys[row])._replace(stale=True)
        self._remember(user_keys, states)
        return states

    def _stale(self, user_keys: Sequence[int]) -> list[UserState]:
        return [self._last_known(key)._replace(stale=True) for key in user_keys]

    def _last_known(self, key: int) -> UserState:
        """What was last read of a user; nothing of what was erased since."""
        state = self._last.get(key, UNKNOWN_USER)
        return UNKNOWN_USER if self._erased.covers(key, state.position) else state

    def forget(self, key: int) -> None:
        """Forget what is remembered of a user."""
        self._last.pop(key, None)

    def _remember(self, user_keys: Sequence[int], states: Sequence[UserState]) -> None:
        for key, state in zip(user_keys, states, strict=True):
            if state.stale or self._erased.covers(key, state.position):
                continue  # not read now, or read before the erasure
            self._last[key] = _copy(state)  # a view would keep the whole batch in memory
            self._last.move_to_end(key)
        while len(self._last) > REMEMBERED_USERS:
            self._last.popitem(last=False)


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
