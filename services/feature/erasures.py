"""What erasures in the log do to the state.

The request of an erasure ends the user's state at once. What items count of them cannot be subtracted exactly (a user
may be the reason that a window has moved on), so when everything of the user has left the log, the items of the
partition are folded anew from it, beside the live state, and take its place: the digest is then that of a log in which
the user has never been. Until then no checkpoint is written, so that a crash on the way begins again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from prometheus_client import Counter

from freshet.log.v1.log_pb2 import Erasure
from services.feature.fold_anew import fold_anew
from shared.adapters.erasures import ErasureStep
from shared.adapters.log_reader import LogMessage
from shared.adapters.streams import Names, StreamError
from shared.domain.event_batch import EventBatch
from shared.domain.state import State, fold

_log = structlog.get_logger("erasures")
RETRY_SECONDS = 1.0
PARTITIONS_REFOLDED = Counter("freshet_partitions_refolded_total", "Partitions folded anew after an erasure.")


@dataclass
class _Refold:
    """A partition on its way. later: what the live state has folded since `to_position`."""

    partition: int
    to_position: int
    state: State
    later: list[EventBatch] = field(default_factory=list)


class Erasures:
    """Reacts to the erasure messages of the log."""

    def __init__(self, state: State, connection: Client, names: Names) -> None:
        self._state = state
        self._connection = connection
        self._names = names
        self._clean_to: dict[int, int] = {}
        self._erased_at: dict[int, int] = {}
        self._under_way: dict[int, tuple[_Refold, asyncio.Task[None]]] = {}
        self._settled = asyncio.Event()
        self._settled.set()

    def begin(self, last_position: int, steps: Iterable[ErasureStep]) -> None:
        """Partitions that are folded from the beginning of the log, whose last position is given, need no second
        fold for erasures that are complete already. steps: of the erasures up to there."""
        fresh = [partition for partition, position in self._state.positions.items() if position == 0]
        self._clean_to = dict.fromkeys(fresh, last_position)
        for step in steps:
            self._note(step.receipt.user_key, step.receipt.position)

    def erased_at(self, user_key: int) -> int:
        """The position of the newest request to erase a user, 0 if there is none. What is stored of them from before
        it may still lie somewhere, and may not be shown."""
        return self._erased_at.get(user_key, 0)

    def _note(self, user_key: int, position: int) -> None:
        self._erased_at[user_key] = max(position, self.erased_at(user_key))

    @property
    def under_way(self) -> bool:
        """Whether some items still count somebody who was erased."""
        return bool(self._under_way)

    async def settled(self) -> None:
        """Wait until none is under way."""
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
            self._refold(partition, message.position)

    def _refold(self, partition: int, position: int) -> None:
        if partition in self._under_way:
            self._under_way[partition][1].cancel()
        refold = _Refold(partition, position, State(self._state.settings, [partition]))
        self._under_way[partition] = (refold, asyncio.create_task(self._run_until_done(refold)))
        self._settled.clear()

    def also_folded(self, batch: EventBatch) -> None:
        """The live state has folded a batch."""
        for refold, _ in self._under_way.values():
            refold.later.append(batch)

    async def _run_until_done(self, refold: _Refold) -> None:
        while True:
            try:
                return await self._run(refold)
            except (nats.errors.Error, StreamError, TimeoutError, OSError) as error:
                _log.warning("partition is folded anew once more", reason=repr(error))
                refold.state = State(self._state.settings, [refold.partition])
                await asyncio.sleep(RETRY_SECONDS)

    async def _run(self, refold: _Refold) -> None:
        await fold_anew(self._connection, self._names, refold.state, refold.to_position)
        self._finish(refold)

    def _finish(self, refold: _Refold) -> None:
        for batch in refold.later:
            fold(refold.state, refold.state.not_folded(batch))
        self._state.take_items(refold.partition, refold.state)
        del self._under_way[refold.partition]
        if not self._under_way:
            self._settled.set()
        PARTITIONS_REFOLDED.inc()
        _log.info("partition folded anew", partition=refold.partition, position=refold.to_position)
