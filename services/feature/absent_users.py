"""Brings users back into memory that left it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import nats.errors
import numpy as np
import structlog
from prometheus_client import Counter

from services.feature.damaged_users import DamagedUsers
from shared.adapters.jetstream.streams import StreamError
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.postgres.state_store import StateStore, StoredUser
from shared.domain.fold.state import State
from shared.runtime.errors import Refusal, unavailable

_log = structlog.get_logger("absent_users")
RETRY_SECONDS = 0.5
READ_SECONDS, LOOK_SECONDS = 2.0, 10.0
"""So long a reader waits at most, and one look: a frozen PostgreSQL gives no answer."""
AWAY = (nats.errors.Error, StreamError, *UNAVAILABLE)
"""What the way back raises while PostgreSQL, or the log, is away."""
Rebuild = Callable[[Sequence[int]], Coroutine[Any, Any, None]]
LOOKS = 3
"""A row may be an older one when its user came back, changed and left again meanwhile. Then the next look tells; one
that is wrong each time is damaged."""
USERS_RESTORED = Counter("freshet_users_restored_total", "Users brought back into memory on demand.")


class AbsentUsers:
    """The way back of users that are away. Their stored rows are as they were when they left."""

    def __init__(self, state: State, store: StateStore, damaged: DamagedUsers) -> None:
        self._state = state
        self._store = store
        self._damaged = damaged
        self._under_way: dict[int, asyncio.Task[None]] = {}

    async def bring_back(self, user_keys: np.ndarray, wait_seconds: float) -> None:
        """Those of keys (n,) uint64 that are away come back, and are there until the caller waits for something else.
        Raises UNAVAILABLE while PostgreSQL is away, or when nothing tells how a damaged one was."""
        try:
            while self._absent(user_keys):
                await within(wait_seconds, self._bring_back(user_keys, self._rebuild_if_known))
        except DEFECTS:
            raise
        except AWAY as error:
            raise self._refusal(user_keys) from error

    def _refusal(self, user_keys: np.ndarray) -> Refusal:
        if self._under_way.keys() & set(self._absent(user_keys)):
            return unavailable("STATE_DAMAGED", "the user's stored state is damaged and is folded anew")
        return unavailable("STATE_AWAY", "the user's state is in PostgreSQL, which is away")

    async def bring_back_for_fold(self, user_keys: np.ndarray) -> None:
        """The same, as long as it takes: nothing is folded meanwhile."""
        while self._absent(user_keys):
            try:
                await self._bring_back(user_keys, self._rebuild)
            except DEFECTS:
                raise
            except AWAY as error:
                _log.warning("folding waits for postgres", reason=repr(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)

    async def _bring_back(self, user_keys: np.ndarray, rebuild: Rebuild) -> None:
        for _ in range(LOOKS):
            if not (absent := self._absent(user_keys)):
                return
            await within(LOOK_SECONDS, self._look(absent))
        await rebuild(self._absent(user_keys))

    def _absent(self, user_keys: np.ndarray) -> list[int]:
        return np.unique(user_keys[self._state.users.away.among(user_keys)]).tolist()

    async def _look(self, user_keys: Sequence[int]) -> None:
        for stored in await self._store.read_users(user_keys):
            if self._is_newest(stored):
                self._state.users.restore(stored.user_key, stored.record, stored.departed)
                USERS_RESTORED.inc()

    def _is_newest(self, stored: StoredUser) -> bool:
        """Whether this is what the user left with: another may have been first to bring them back, and more."""
        away = self._state.users.away
        return stored.user_key in away and away.digest_of(stored.user_key) == stored.digest

    async def _rebuild(self, user_keys: Sequence[int]) -> None:
        """While the fold waits, the user's state is what the log gives, whatever is stored."""
        for key in user_keys:
            anew = await self._damaged.rebuild(key)
            if anew is None:
                self._state.erase(key)
            elif key in self._state.users.away:
                self._state.users.put(key, anew.record, anew.departed)

    async def _rebuild_if_known(self, user_keys: Sequence[int]) -> None:
        """The fold may go on meanwhile. Raises UNAVAILABLE when the digest does not tell that the state is right."""
        for key in user_keys:
            await asyncio.shield(self._rebuilding(key))

    def _rebuilding(self, user_key: int) -> asyncio.Task[None]:
        """One for all who ask, and it goes on when none of them waits any more: who asks later finds the user."""
        if (task := self._under_way.get(user_key)) is None:
            task = self._under_way[user_key] = asyncio.create_task(self._rebuild_one_if_known(user_key))
            task.add_done_callback(lambda ended: self._under_way.pop(user_key))
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def _rebuild_one_if_known(self, user_key: int) -> None:
        anew = await self._damaged.rebuild(user_key)
        if anew is not None and self._is_newest(anew):
            self._state.users.put(user_key, anew.record, anew.departed)
        elif user_key in self._state.users.away:
            raise unavailable(
                "STATE_DAMAGED", "the user's stored state is damaged; their next event mends it"
            )
