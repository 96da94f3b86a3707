"""Takes valid events into the log, each id once.

An id is looked for where an earlier write can have left it: among the writes under way, those of late, and the
archive. JetStream's duplicate window covers what lies between the log and the archive, and other instances' writes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prometheus_client import Counter

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.archive_questions import ArchiveQuestions
from shared.adapters.archive import Archive
from shared.adapters.keys import partition_of, user_key
from shared.adapters.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.streams import Names

RECENT_EVENTS = 200_000

EVENTS_WRITTEN = Counter("freshet_events_written_total", "Events by outcome.", ["outcome"])


class Written(NamedTuple):
    """Where an event lies in the log. duplicate: it was there before."""

    partition: int
    position: int
    duplicate: bool


class Entry(NamedTuple):
    """An event as it goes into the log. user_key: `user_key` of its user. payload: a `UserEvent`."""

    event_id: str
    event_type: str
    user_key: int
    payload: bytes


class _Claim(NamedTuple):
    """One event of a call and the write that decides its fate. mine: this call makes that write."""

    entry: Entry
    fate: asyncio.Future[Appended | LogUnavailableError]
    mine: bool


class EventWriter:
    """Writes events. Safe for many callers at once."""

    def __init__(self, log: LogWriter, archive: Archive, names: Names, partitions: int) -> None:
        self._log = log
        self._archive = archive
        self._names = names
        self._partitions = partitions
        self._recent: OrderedDict[str, int] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Appended | LogUnavailableError]] = {}
        self.questions = ArchiveQuestions()

    async def write(self, events: Sequence[UserEvent]) -> list[Written | LogUnavailableError]:
        """Write valid events with ids, in order; one answer each. Raises LogOverloadedError: then none was written."""
        await self.recall([event.event_id for event in events])
        return await self.append([_entry(event) for event in events])

    async def append(self, entries: Sequence[Entry]) -> list[Written | LogUnavailableError]:
        """Like `write`, for entries whose ids were recalled. Nothing else runs before the ids are claimed."""
        claims = [self._claim(entry) for entry in entries]
        await self._append([claim for claim in claims if claim.mine])
        # Others may wait for the same fate: a call that is cancelled must not take it along.
        outcomes = [self._outcome(claim, await asyncio.shield(claim.fate)) for claim in claims]
        _count(outcomes)
        return outcomes

    def knows(self, event_id: str) -> bool:
        """Whether a write of that id is under way or was made, as far as can be told without asking anybody."""
        return event_id in self._recent or event_id in self._under_way

    async def position_of(self, event_id: str) -> int | None:
        """Where a recent event lies, once its write is done; None for what is not known here or did not get there."""
        if (fate := self._under_way.get(event_id)) is not None:
            answer = await asyncio.shield(fate)
            return answer.position if isinstance(answer, Appended) else None
        return self._recent.get(event_id)

    def _claim(self, entry: Entry) -> _Claim:
        event_id = entry.event_id
        if (fate := self._under_way.get(event_id)) is not None:
            return _Claim(entry, fate, mine=False)
        fate = asyncio.get_running_loop().create_future()
        if (position := self._recent.get(event_id)) is not None:
            fate.set_result(Appended(position, duplicate=True))
            return _Claim(entry, fate, mine=False)
        self._under_way[event_id] = fate
        return _Claim(entry, fate, mine=True)

    async def _append(self, claims: Sequence[_Claim]) -> None:
        records = [self._record(claim.entry) for claim in claims]
        answers: Sequence[Appended | LogUnavailableError] = ()
        try:
            answers = await self._log.append(records) if records else ()
        finally:
            unknown = LogUnavailableError("the write was given up before the log acknowledged")
            answers = [*answers, *[unknown] * (len(claims) - len(answers))]
            for claim, answer in zip(claims, answers, strict=True):
                self._settle(claim, answer)

    def _settle(self, claim: _Claim, answer: Appended | LogUnavailableError) -> None:
        del self._under_way[claim.entry.event_id]
        claim.fate.set_result(answer)
        # What NATS knows as a duplicate may have been erased: to remember it would outlast NATS's window.
        if isinstance(answer, Appended) and not answer.duplicate:
            self._remember(claim.entry.event_id, answer.position)

    def _record(self, entry: Entry) -> Record:
        subject = self._names.event_subject(self._partition(entry), entry.event_type)
        return Record(subject, entry.event_id, entry.payload)

    def _partition(self, entry: Entry) -> int:
        return partition_of(entry.user_key, self._partitions)

    def _outcome(
        self, claim: _Claim, answer: Appended | LogUnavailableError
    ) -> Written | LogUnavailableError:
        if isinstance(answer, LogUnavailableError):
            return answer
        return Written(self._partition(claim.entry), answer.position, answer.duplicate or not claim.mine)

    def _remember(self, event_id: str, position: int) -> None:
        self._recent[event_id] = position
        if len(self._recent) > RECENT_EVENTS:
            self._recent.popitem(last=False)

    def forget(self, first: int, last: int) -> None:
        """Forget the ids of events at positions from `first` to `last`: some were erased, and sent again they are new
        facts. The archive knows the others."""
        gone = [event_id for event_id, position in self._recent.items() if first <= position <= last]
        for event_id in gone:
            del self._recent[event_id]

    async def recall(self, event_ids: Sequence[str]) -> None:
        """Ask the archive for ids not seen of late. While PostgreSQL is away the fold alone keeps duplicates out."""
        unknown = [each for each in event_ids if each not in self._recent and each not in self._under_way]
        if not unknown:
            return
        found = await self.questions.ask(lambda: self._archive.positions_of(unknown))
        for event_id, position in (found or {}).items():
            self._remember(event_id, position)


def _entry(event: UserEvent) -> Entry:
    return Entry(event.event_id, event.event_type, user_key(event.user_id), event.SerializeToString())


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
