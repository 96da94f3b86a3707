"""Folds the log into state, and lets callers wait for a position or for a change."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from itertools import count, groupby

import numpy as np
import structlog
from prometheus_client import Counter, Gauge

from services.feature.absent_users import AbsentUsers
from services.feature.erasures import Erasures
from services.feature.watchers import Watchers
from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.jetstream.log_reader import LogMessage, LogReader
from shared.adapters.jetstream.streams import Names
from shared.domain.fold.state import State, fold
from shared.runtime.errors import unavailable

_log = structlog.get_logger("projection")
_TELL_SECONDS = 60.0
FOLD_AT_ONCE = 512
"""Messages folded before other work of the process has its turn: about 5 ms."""

EVENTS_FOLDED = Counter("freshet_events_folded_total", "Events by effect.", ["effect"])
FOLDED_POSITION = Gauge("freshet_folded_position", "Position of the log that the state reflects.")


class Projection:
    """The state of the partitions that this instance owns. `position`: of the log, that all of it reflects."""

    def __init__(self, state: State, absent: AbsentUsers, erasures: Erasures, names: Names) -> None:
        self.state = state
        self._absent = absent
        self.watchers = Watchers()
        self.position = 0
        self.recovered = False
        self._erasures = erasures
        self._kind_at = len(names.subject(""))
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._given_up = 0

    def begin(self) -> None:
        """Go on from the loaded state."""
        self.position = min(self.state.positions.values())
        _log.info("state loaded", position=self.position, users=len(self.state.users))

    async def follow(self, reader: LogReader) -> None:
        """Fold what arrives until cancelled; the reader begins behind `position`."""
        async for messages in reader.batches():
            for start in range(0, len(messages), FOLD_AT_ONCE):
                await self._take(messages[start : start + FOLD_AT_ONCE])
                await asyncio.sleep(0)

    async def _take(self, messages: Sequence[LogMessage]) -> None:
        for kind, each in groupby(messages, self._kind):
            run = list(each)
            if kind == "events":
                await self._fold(run)
            elif kind == "erasures":
                self.watchers.changed(self._erasures.take(run))
            self._advance(run[-1].position)

    def _kind(self, message: LogMessage) -> str:
        """The first word of a message's subject."""
        return message.subject[self._kind_at :].partition(".")[0]

    async def _fold(self, messages: Sequence[LogMessage]) -> None:
        batch, _, unreadable = decode_batch([(each.position, each.payload) for each in messages])
        for each in unreadable:
            _log.error("event cannot be folded", position=each.position, reason=each.reason)
        batch = self.state.not_folded(batch)
        await self._absent.bring_back_for_fold(batch.user_key)
        applied = fold(self.state, batch)
        self._erasures.also_folded(batch)
        EVENTS_FOLDED.labels("applied").inc(int(applied.sum()))
        EVENTS_FOLDED.labels("none").inc(len(messages) - int(applied.sum()))
        self.watchers.changed(batch.user_key[applied].tolist())

    def _advance(self, position: int) -> None:
        self.position = position
        FOLDED_POSITION.set(position)
        while self._waiting and self._waiting[0][0] <= position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def recover(self, last_position: int) -> None:
        """Wait until what the log held at the start is folded; `follow` must be running."""
        while not await self.reach(last_position, _TELL_SECONDS):
            _log.info("the log is still being folded", position=self.position, to_position=last_position)
        self.recovered = True

    async def bring_back(self, user_keys: np.ndarray, wait_seconds: float) -> None:
        """Bring those of keys (n,) uint64 into memory that have left it. Raises UNAVAILABLE while PostgreSQL is
        away."""
        await self._absent.bring_back(user_keys, wait_seconds)

    def check_recovered(self) -> None:
        """Raise UNAVAILABLE while the state is behind what the log held when the process started."""
        if not self.recovered:
            raise unavailable("RECOVERING", f"the state is folded anew; it reflects position {self.position}")

    async def reach(self, position: int, timeout_seconds: float) -> bool:
        """Wait until the state reflects `position`; False when it does not in time."""
        if self.position >= position:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), future))
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            return False
        finally:
            self._let_go(future)
        return True

    def _let_go(self, future: asyncio.Future[None]) -> None:
        """Forget those who gave up once they are half of all: a position may never come."""
        self._given_up += future.cancelled()
        if 2 * self._given_up > len(self._waiting):
            self._waiting = [waiting for waiting in self._waiting if not waiting[2].done()]
            heapq.heapify(self._waiting)
            self._given_up = 0
