"""Writes checkpoints behind, and lets users go who were not used for the longest time."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import structlog
from prometheus_client import Gauge, Histogram

from services.feature.projection import Projection
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.postgres.state_store import StateStore
from shared.domain.fold.snapshot import give_back, take_snapshot

_log = structlog.get_logger("checkpoints")
CHECKPOINT_SECONDS = Histogram("freshet_checkpoint_seconds", "Time to write a checkpoint.")
LEAVING_AT_ONCE = 1_000
"""Users who leave memory in one go, which takes a few milliseconds."""
DRAIN_SECONDS = 8.0
USERS = Gauge("freshet_users", "Users by where their state is.", ["where"])


class Pace(NamedTuple):
    """checkpoint_seconds: time between checkpoints. users_in_memory: more than these leave memory."""

    checkpoint_seconds: float
    users_in_memory: int


class Checkpoints:
    """Saves a projection's state."""

    def __init__(self, projection: Projection, store: StateStore, pace: Pace) -> None:
        self._projection = projection
        self._store = store
        self._pace = pace
        self._written = 0
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Write a checkpoint every so often until cancelled. While PostgreSQL is away, folding goes on."""
        while True:
            await asyncio.sleep(self._pace.checkpoint_seconds)
            await self.write_if_possible()

    async def write_if_possible(self) -> None:
        """Write a checkpoint; while PostgreSQL is away say so, since the log holds all that it would."""
        try:
            await self.write()
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            _log.warning("checkpoint not written", reason=str(error).splitlines()[:1])

    async def drain(self) -> None:
        """Write a last checkpoint, unless that takes too long, as while PostgreSQL is frozen."""
        try:
            await within(DRAIN_SECONDS, self.write_if_possible())
        except TimeoutError as error:
            _log.warning("checkpoint not written", reason=str(error))

    async def write(self) -> None:
        """Store what changed, one checkpoint at a time: an older one that ended last would undo a newer one. What a
        failed write did not store is stored with the next one. Raises OwnershipLostError."""
        async with self._turn:
            if self._anything_new():
                await self._save()
            else:
                await self._store.check_owner(self._projection.state)
            await self._let_go()

    def _anything_new(self) -> bool:
        """Items that were folded anew are new at an old position."""
        moved = self._projection.position != self._written
        return moved or bool(self._projection.state.emptied)

    async def _save(self) -> None:
        state = self._projection.state
        snapshot = take_snapshot(state, self._projection.position)
        try:
            with CHECKPOINT_SECONDS.time():
                await self._store.save(state, snapshot)
        except BaseException:
            give_back(state, snapshot)
            raise
        self._written = snapshot.position

    async def _let_go(self) -> None:
        """In portions, between which calls are answered and events folded: who has changed meanwhile stays."""
        users = self._projection.state.users
        excess = len(users) - self._pace.users_in_memory
        if excess > 0:
            leaving = users.least_used(excess)
            for start in range(0, len(leaving), LEAVING_AT_ONCE):
                users.let_go(users.unchanged(leaving[start : start + LEAVING_AT_ONCE]))
                await asyncio.sleep(0)
        USERS.labels("memory").set(len(users))
        USERS.labels("away").set(len(users.away))
