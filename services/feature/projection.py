"""Folds the log into state, lets callers wait for a position, and writes checkpoints behind."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from itertools import count

import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from prometheus_client import Counter, Gauge, Histogram

from freshet.event.v1.event_pb2 import UserEvent
from shared.adapters.database import DEFECTS, UNAVAILABLE
from shared.adapters.event_codec import decode_event
from shared.adapters.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.state_store import Snapshot, StateStore, take_snapshot
from shared.adapters.streams import Names, last_position_of
from shared.domain.partition_state import PartitionState, apply
from shared.runtime.errors import unavailable

_log = structlog.get_logger("projection")
CATCH_UP_SECONDS = 3600.0
FOLD_AT_ONCE = 128
"""Messages folded before other work of the process has its turn: about 2 ms."""

EVENTS_FOLDED = Counter("freshet_events_folded_total", "Events by effect.", ["effect"])
FOLDED_POSITION = Gauge("freshet_folded_position", "Position of the log that the state reflects.")
CHECKPOINT_SECONDS = Histogram("freshet_checkpoint_seconds", "Time to write a checkpoint.")


class Projection:
    """The state of the partitions that this instance owns."""

    def __init__(
        self, states: Mapping[int, PartitionState], store: StateStore, checkpoint_seconds: float
    ) -> None:
        self.states = states
        self.position = 0
        self._store = store
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpointed = 0
        self._unsaved: Snapshot | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._checkpointing = asyncio.Lock()
        self.loaded = asyncio.Event()
        self.recovered = False

    async def recover(self, connection: Client, names: Names, subjects: Sequence[str]) -> None:
        """Take up the stored state and fold what the log holds behind it; `follow` must be running."""
        await self._load()
        last = [await last_position_of(connection, names, subject) for subject in subjects]
        await self.reach(max(last), CATCH_UP_SECONDS)
        self.recovered = True

    async def _load(self) -> None:
        self.position = self._checkpointed = await self._store.load(self.states)
        _log.info(
            "state loaded", position=self.position, users=sum(len(s.users) for s in self.states.values())
        )
        self.loaded.set()

    async def follow(self, connection: Client, names: Names, subjects: Sequence[str]) -> None:
        """Fold what arrives, from the stored position on, until cancelled."""
        await self.loaded.wait()
        source = LogSource(names.events, subjects, start=self.position + 1)
        async for batch in LogReader(connection, source).batches():
            for start in range(0, len(batch), FOLD_AT_ONCE):
                self._fold(batch[start : start + FOLD_AT_ONCE])
                await asyncio.sleep(0)

    def _fold(self, messages: Sequence[LogMessage]) -> None:
        applied = 0
        for message in messages:
            applied += self._fold_one(message)
        EVENTS_FOLDED.labels("applied").inc(applied)
        EVENTS_FOLDED.labels("none").inc(len(messages) - applied)
        self._advance(messages[-1].position)

    def _fold_one(self, message: LogMessage) -> bool:
        partition = int(message.subject.rsplit(".", 2)[1])
        try:
            event = decode_event(message.position, UserEvent.FromString(message.payload))
        except (DecodeError, KeyError) as error:
            _log.error("event cannot be folded", position=message.position, reason=repr(error))
            return False
        return apply(self.states[partition], event)

    def _advance(self, position: int) -> None:
        self.position = position
        FOLDED_POSITION.set(position)
        while self._waiting and self._waiting[0][0] <= position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

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
            await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError:
            return False
        return True

    async def write_checkpoints(self) -> None:
        """Write a checkpoint every so often until cancelled. While PostgreSQL is away, go on folding."""
        await self.loaded.wait()
        while True:
            await asyncio.sleep(self._checkpoint_seconds)
            await self.checkpoint_if_possible()

    async def checkpoint_if_possible(self) -> None:
        """Write a checkpoint; while PostgreSQL is away say so, since the log holds all that it would."""
        try:
            await self.checkpoint()
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            _log.warning("checkpoint not written", reason=str(error).splitlines()[:1])

    async def checkpoint(self) -> None:
        """Store what changed, one checkpoint at a time: an older one that ended last would undo a newer one.
        What a failed write did not store is stored with the next one."""
        async with self._checkpointing:
            if self.position == self._checkpointed and self._unsaved is None:
                return
            snapshot = _joined(self._unsaved, take_snapshot(self.states, self.position))
            self._unsaved = snapshot
            with CHECKPOINT_SECONDS.time():
                await self._store.save(self.states, snapshot)
            self._unsaved, self._checkpointed = None, snapshot.position


def _joined(older: Snapshot | None, newer: Snapshot) -> Snapshot:
    """Both, the newer row where both have one."""
    if older is None:
        return newer
    users = {row[:2]: row for row in [*older.users, *newer.users]}
    items = {row[:2]: row for row in [*older.items, *newer.items]}
    return Snapshot(newer.position, list(users.values()), list(items.values()))
