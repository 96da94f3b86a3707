"""Takes valid events into the log, each id once.

An id is looked for where an earlier write can have left it: among the writes under way, in the archive, and among the
ids at the log's tail, which the archive may not hold yet. JetStream's duplicate window covers what came meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.log_tail import LogTail
from shared.adapters.archive import Archive
from shared.adapters.database import UNAVAILABLE
from shared.adapters.keys import partition_of, user_key
from shared.adapters.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.streams import Names

_log = structlog.get_logger("event_writer")
ARCHIVE_TIMEOUT_SECONDS = 0.25
ARCHIVE_PAUSE_SECONDS = 2.0

EVENTS_WRITTEN = Counter("freshet_events_written_total", "Events by outcome.", ["outcome"])
ARCHIVE_LOOKUPS_MISSED = Counter(
    "freshet_archive_lookups_missed_total", "Writes that could not ask the archive for duplicates."
)


class Written(NamedTuple):
    """Where an event lies in the log. duplicate: it was there before."""

    partition: int
    position: int
    duplicate: bool


class _Claim(NamedTuple):
    """One event of a call and the write that decides its fate. mine: this call makes that write."""

    event: UserEvent
    fate: asyncio.Future[Appended | LogUnavailableError]
    mine: bool


class EventWriter:
    """Writes events. Safe for many callers at once."""

    def __init__(
        self, log: LogWriter, archive: Archive, tail: LogTail, names: Names, partitions: int
    ) -> None:
        self._log = log
        self._tail = tail
        self._recent = tail.ids
        self._archive = archive
        self._names = names
        self._partitions = partitions
        self._under_way: dict[str, asyncio.Future[Appended | LogUnavailableError]] = {}
        self._ask_archive_from = 0.0

    async def write(self, events: Sequence[UserEvent]) -> list[Written | LogUnavailableError]:
        """Write valid events with ids, in order; one answer each. Raises LogOverloadedError: then none was written."""
        if not events:
            return []
        await self._recall([event.event_id for event in events])
        try:
            await self._tail.up_to_date()
        except LogUnavailableError as error:
            return [error] * len(events)
        claims = [self._claim(event) for event in events]
        await self._append([claim for claim in claims if claim.mine])
        # Others may wait for the same fate: a call that is cancelled must not take it along.
        outcomes = [self._outcome(claim, await asyncio.shield(claim.fate)) for claim in claims]
        _count(outcomes)
        return outcomes

    def _claim(self, event: UserEvent) -> _Claim:
        event_id = event.event_id
        if (fate := self._under_way.get(event_id)) is not None:
            return _Claim(event, fate, mine=False)
        fate = asyncio.get_running_loop().create_future()
        if (position := self._recent.get(event_id)) is not None:
            fate.set_result(Appended(position, duplicate=True))
            return _Claim(event, fate, mine=False)
        self._under_way[event_id] = fate
        return _Claim(event, fate, mine=True)

    async def _append(self, claims: Sequence[_Claim]) -> None:
        records = [self._record(claim.event) for claim in claims]
        answers: Sequence[Appended | LogUnavailableError] = ()
        try:
            answers = await self._log.append(records) if records else ()
        finally:
            unknown = LogUnavailableError("the write was given up before the log acknowledged")
            answers = [*answers, *[unknown] * (len(claims) - len(answers))]
            for claim, answer in zip(claims, answers, strict=True):
                self._settle(claim, answer)

    def _settle(self, claim: _Claim, answer: Appended | LogUnavailableError) -> None:
        del self._under_way[claim.event.event_id]
        claim.fate.set_result(answer)
        # What NATS knows as a duplicate may have been erased: to remember it would outlast NATS's window.
        if isinstance(answer, Appended) and not answer.duplicate:
            self._recent.remember(claim.event.event_id, answer.position)

    def _record(self, event: UserEvent) -> Record:
        subject = self._names.event_subject(self._partition(event), event.event_type)
        return Record(subject, event.event_id, event.SerializeToString())

    def _partition(self, event: UserEvent) -> int:
        return partition_of(user_key(event.user_id), self._partitions)

    def _outcome(
        self, claim: _Claim, answer: Appended | LogUnavailableError
    ) -> Written | LogUnavailableError:
        if isinstance(answer, LogUnavailableError):
            return answer
        return Written(self._partition(claim.event), answer.position, answer.duplicate or not claim.mine)

    def forget(self, first: int, last: int) -> None:
        """Forget the ids of events at positions from `first` to `last`: some were erased, and sent again they are new
        facts. The archive knows the others."""
        self._recent.forget(first, last)

    async def _recall(self, event_ids: Sequence[str]) -> None:
        """Ask the archive for ids not seen of late. While PostgreSQL is away, those count as new."""
        unknown = [each for each in event_ids if each not in self._recent and each not in self._under_way]
        if not unknown:
            return
        if time.monotonic() < self._ask_archive_from:
            ARCHIVE_LOOKUPS_MISSED.inc()
            return
        try:
            async with asyncio.timeout(ARCHIVE_TIMEOUT_SECONDS):
                found = await self._archive.positions_of(unknown)
        except UNAVAILABLE as error:
            self._pause_archive(error)
            return
        for event_id, position in found.items():
            self._recent.remember(event_id, position)

    def _pause_archive(self, error: BaseException) -> None:
        ARCHIVE_LOOKUPS_MISSED.inc()
        self._ask_archive_from = time.monotonic() + ARCHIVE_PAUSE_SECONDS
        _log.warning("archive not asked for duplicates", reason=repr(error)[:200])


def _count(outcomes: Sequence[Written | LogUnavailableError]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, LogUnavailableError):
            EVENTS_WRITTEN.labels("unavailable").inc()
        else:
            EVENTS_WRITTEN.labels("duplicate" if outcome.duplicate else "accepted").inc()


def token_positions(outcomes: Sequence[object]) -> Mapping[int, int]:
    """The furthest position of each partition that `outcomes` touch."""
    positions: dict[int, int] = {}
    for outcome in outcomes:
        if isinstance(outcome, Written):
            positions[outcome.partition] = max(outcome.position, positions.get(outcome.partition, 0))
    return positions
