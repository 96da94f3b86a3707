"""What erasures in the log do to the state.

The request of an erasure ends the user's state at once. What items count of them cannot be subtracted exactly (a user
may be the reason that a window has moved on), so when everything of the user has left the log, the items of the
partition are folded anew from it, beside the live state, and take its place: the digest is then that of a log in which
the user has never been. Until then the partition is marked, in checkpoints too: a crash on the way begins again.

Decision: partitions are folded anew one after the other, and an erasure that ends while its partition's turn is under
way gives it another turn. Beginning again at each would never come to an end while erasures come faster than that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from prometheus_client import Counter

from freshet.log.v1.log_pb2 import Erasure
from services.feature.fold_anew import fold_anew
from shared.adapters.jetstream.erasures import ErasureStep
from shared.adapters.jetstream.log_reader import LogMessage
from shared.adapters.jetstream.streams import Names, StreamError
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State, fold

_log = structlog.get_logger("erasures")
RETRY_SECONDS = 1.0
BATCHES_AT_ONCE = 8
"""Folded before other work of the process has its turn: more than the live state folds of them meanwhile."""
PARTITIONS_REFOLDED = Counter("freshet_partitions_refolded_total", "Partitions folded anew after an erasure.")


@dataclass
class Refold:
    """A partition's turn. later: what the live state has folded of it since `to_position`."""

    partition: int
    to_position: int
    state: State
    later: deque[EventBatch] = field(default_factory=deque)

    def also_folded(self, batch: EventBatch) -> None:
        """The live state has folded a batch."""
        if len(own := self.state.not_folded(batch)):
            self.later.append(own)

    async def catch_up(self) -> None:
        """Return when the state reflects what the live state does."""
        while self.later:
            for _ in range(min(BATCHES_AT_ONCE, len(self.later))):
                fold(self.state, self.later.popleft())
            await asyncio.sleep(0)


class Erasures:
    """Reacts to the erasure messages of the log."""

    def __init__(self, state: State, connection: Client, names: Names) -> None:
        self._state = state
        self._connection = connection
        self._names = names
        self._clean_to: dict[int, int] = {}
        self._erased_at: dict[int, int] = {}
        self._under_way: Refold | None = None
        self._due, self._settled = asyncio.Event(), asyncio.Event()
        self._settled.set()

    def begin(self, last_position: int, steps: Iterable[ErasureStep]) -> None:
        """Go on from the loaded state. Partitions that are folded from the beginning of the log, whose last position
        is given, need no second fold for erasures that are complete already. steps: of the erasures up to there."""
        fresh = [partition for partition, position in self._state.positions.items() if position == 0]
        self._clean_to = dict.fromkeys(fresh, last_position)
        for step in steps:
            self._note(step.receipt.user_key, step.receipt.position)
        self._tell()

    def erased_at(self, user_key: int) -> int:
        """The position of the newest request to erase a user, 0 if there is none. What is stored of them from before
        it may still lie somewhere, and may not be shown."""
        return self._erased_at.get(user_key, 0)

    def _note(self, user_key: int, position: int) -> None:
        self._erased_at[user_key] = max(position, self.erased_at(user_key))

    async def settled(self) -> None:
        """Wait until no items count somebody who was erased."""
        while self._state.to_refold:
            await self._settled.wait()

    def take(self, messages: Sequence[LogMessage]) -> list[int]:
        """React to erasure messages; the keys of the users whose state has ended."""
        ended: list[int] = []
        for message in messages:
            partition = int(message.subject.rsplit(".", 1)[1])
            if message.position <= self._state.positions.get(partition, message.position):
                continue
            try:
                ended += self._take(message, partition)
            except DecodeError as error:
                _log.error("erasure cannot be read", position=message.position, reason=repr(error))
        return ended

    def _take(self, message: LogMessage, partition: int) -> Iterator[int]:
        receipt = Erasure.FromString(message.payload).receipt
        self._state.positions[partition] = message.position
        if not receipt.HasField("complete_time"):
            self._note(receipt.user_key, message.position)
            self._state.erase(receipt.user_key)
            yield receipt.user_key
        elif receipt.deleted_events and message.position > self._clean_to.get(partition, 0):
            self._state.to_refold[partition] = message.position
            self._tell()

    def _tell(self) -> None:
        """Wake who waits for a partition to fold anew, or for there being none."""
        one, other = (self._due, self._settled) if self._state.to_refold else (self._settled, self._due)
        one.set()
        other.clear()

    def also_folded(self, batch: EventBatch) -> None:
        """The live state has folded a batch."""
        if self._under_way is not None:
            self._under_way.also_folded(batch)

    async def run(self) -> None:
        """Fold anew what is marked, the partition that has waited longest first, until cancelled."""
        while True:
            await self._due.wait()
            try:
                await self._refold(next(iter(self._state.to_refold)))
            except (nats.errors.Error, StreamError, TimeoutError, OSError) as error:
                _log.warning("partition is folded anew once more", reason=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _refold(self, partition: int) -> None:
        to_position = self._state.positions[partition]
        refold = self._under_way = Refold(partition, to_position, State(self._state.settings, [partition]))
        try:
            await fold_anew(self._connection, self._names, refold.state, to_position)
            await refold.catch_up()
            self._finish(refold)
        finally:
            self._under_way = None

    def _finish(self, refold: Refold) -> None:
        self._state.take_items(refold.partition, refold.state)
        erased_to = self._state.to_refold.pop(refold.partition)
        if erased_to > refold.to_position:
            self._state.to_refold[refold.partition] = erased_to
        self._tell()
        PARTITIONS_REFOLDED.inc()
        _log.info("partition folded anew", partition=refold.partition, position=refold.to_position)
