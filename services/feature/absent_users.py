"""Brings users back into memory that left it."""

from __future__ import annotations

import asyncio

import numpy as np
import structlog
from prometheus_client import Counter

from shared.adapters.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.state_store import StateStore, StoredUser
from shared.domain.user_state import UserStates
from shared.runtime.errors import unavailable

_log = structlog.get_logger("absent_users")
RETRY_SECONDS = 0.5
READ_SECONDS, FOLD_SECONDS = 2.0, 10.0
"""How long a reader, and the fold, wait for an answer: a frozen PostgreSQL gives none."""
USERS_RESTORED = Counter("freshet_users_restored_total", "Users brought back into memory on demand.")


class AbsentUsers:
    """The way back of users that are away. Their stored rows are as they were when they left."""

    def __init__(self, users: UserStates, store: StateStore) -> None:
        self._users = users
        self._store = store

    async def bring_back(self, user_keys: np.ndarray, until_done: bool = False) -> None:
        """Those of keys (n,) uint64 that are away come back. While PostgreSQL is away: raises UNAVAILABLE, or tries
        again `until_done`."""
        seconds = FOLD_SECONDS if until_done else READ_SECONDS
        while len(absent := self._absent(user_keys)):
            try:
                for stored in await within(seconds, self._store.read_users(absent.tolist())):
                    self._restore(stored)
            except DEFECTS:
                raise
            except UNAVAILABLE as error:
                if not until_done:
                    raise unavailable(
                        "STATE_AWAY", "the user's state is in PostgreSQL, which is away"
                    ) from error
                _log.warning("folding waits for postgres", reason=repr(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)

    def _absent(self, user_keys: np.ndarray) -> np.ndarray:
        return np.unique(user_keys[self._users.away.among(user_keys)])

    def _restore(self, stored: StoredUser) -> None:
        """Unless another came first: then the row may be an older one, which the digest tells."""
        away = self._users.away
        if (
            away.among(np.array([stored.user_key], np.uint64))[0]
            and away.digest_of(stored.user_key) == stored.digest
        ):
            self._users.restore(stored.user_key, stored.record, stored.departed)
            USERS_RESTORED.inc()
