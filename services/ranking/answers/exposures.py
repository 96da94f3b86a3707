"""Publishes what was served, off the read path: an answer never waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import structlog
from prometheus_client import Counter

from freshet.log.v1.log_pb2 import Exposure
from freshet.ranking.v1.ranking_pb2 import RecommendRequest
from services.ranking.answers.recommender import Served
from services.ranking.features.erased_users import ErasedUsers
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.jetstream.log_writer import Appended, LogOverloadedError, LogWriter, Record
from shared.adapters.jetstream.streams import Names

_log = structlog.get_logger("exposures")
MAX_KEPT = 20_000
PUBLISH_AT_ONCE = 500
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 0.5
EXPOSURES = Counter("freshet_exposures_total", "Exposures by outcome.", ["outcome"])


class Shown(NamedTuple):
    """An answer that went out."""

    request: RecommendRequest
    attribution_token: str
    served: Served


class _Kept(NamedTuple):
    """What of an answer waits for the stream: its record, and not the request with thousands of ids or the model."""

    user_key: int
    position: int
    record: Record


class ExposureLog:
    """Keeps what was shown until the stream has it. When NATS is away for long the oldest go, and are counted."""

    def __init__(self, log: LogWriter, names: Names, partitions: int, erased: ErasedUsers) -> None:
        self._log = log
        self._erased = erased
        self._names = names
        self._partitions = partitions
        self._kept: deque[_Kept] = deque()
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()

    def add(self, shown: Shown) -> None:
        """Take note of an answer."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.popleft()
            EXPOSURES.labels("dropped").inc()
        self._kept.append(self._of(shown))
        self._arrived.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            if not await self._publish_some():
                await asyncio.sleep(RETRY_SECONDS)

    async def drain(self) -> None:
        """Publish all that is kept, and wait for what is on its way; give up what the stream does not take."""
        while await self._publish_some():
            if not self._kept:
                return
        _log.error("exposures lost on the way out", number=len(self._kept))

    async def _publish_some(self) -> bool:
        """Publish the oldest ones, one group at a time. False when the stream did not take all of them."""
        async with self._turn:
            some = [self._kept.popleft() for _ in range(min(len(self._kept), PUBLISH_AT_ONCE))]
            if not self._kept:
                self._arrived.clear()
            failed = await self._publish([kept for kept in some if not self._is_erased(kept)])
            self._kept.extendleft(reversed(failed))
        if failed:
            self._arrived.set()
        return not failed

    def _is_erased(self, kept: _Kept) -> bool:
        """Whether its user has been erased since: what their state was may not be stored again."""
        gone = self._erased.covers(kept.user_key, kept.position)
        if gone:
            EXPOSURES.labels("erased").inc()
        return gone

    async def _publish(self, some: Sequence[_Kept]) -> list[_Kept]:
        """Those of `some` that the stream did not take."""
        if not some:
            return []
        try:
            answers = await self._log.append([kept.record for kept in some])
        except LogOverloadedError:
            return list(some)
        failed = [
            kept for kept, answer in zip(some, answers, strict=True) if not isinstance(answer, Appended)
        ]
        EXPOSURES.labels("published").inc(len(some) - len(failed))
        return failed

    def _of(self, shown: Shown) -> _Kept:
        key = user_key(shown.request.user_id)
        subject = self._names.subject(f"exposures.v1.{partition_of(key, self._partitions)}")
        record = Record(subject, shown.attribution_token, _exposure(shown).SerializeToString())
        return _Kept(key, shown.served.state.position, record)


def _exposure(shown: Shown) -> Exposure:
    request, served = shown.request, shown.served
    held = served.state.item_key != 0
    exposure = Exposure(
        attribution_token=shown.attribution_token,
        user_id=request.user_id,
        session_id=request.session_id,
        placement=request.placement,
        model_version=served.model.version if served.model and served.answer.by_model else "",
        position=served.state.position,
        item_keys=np.array([item.item_key for item in served.answer.items], np.uint64).tobytes(),
        scores=np.array([item.score for item in served.answer.items], np.float32).tobytes(),
        history_item_keys=served.state.item_key[held].tobytes(),
        history_times_ms=served.state.time_ms[held].tobytes(),
        history_event_types=served.state.event_type[held].tobytes(),
    )
    exposure.serve_time.FromMilliseconds(served.time_ms)
    return exposure
