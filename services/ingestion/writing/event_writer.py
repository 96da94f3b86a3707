"""Takes valid events into the log, each id once.

An id is looked for where an earlier write can have left it: among the writes under way, in the archive, and among the
ids at the log's tail, which the archive may not hold yet. JetStream's duplicate window covers what came meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, repeat
from typing import NamedTuple

from prometheus_client import Counter

from services.ingestion.archive.archived_ids import ArchivedIds
from services.ingestion.writing.log_tail import LogTail
from shared.adapters.jetstream.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.archive_batch import DecodedEvent

EVENTS_WRITTEN = Counter("freshet_events_written_total", "Events by outcome.", ["outcome"])
_OUTCOMES = {False: "accepted", True: "duplicate", None: "unavailable"}
_WRITTEN = {duplicate: EVENTS_WRITTEN.labels(outcome) for duplicate, outcome in _OUTCOMES.items()}


class ReadyEvent(NamedTuple):
    """An event as the log takes it. decoded: what the archive wants to know of it, where that is at hand."""

    event_id: str
    partition: int
    event_type: str
    payload: bytes
    decoded: DecodedEvent | None = None


class Written(NamedTuple):
    """Where an event lies in the log. duplicate: it was there before."""

    partition: int
    position: int
    duplicate: bool


Answer = Written | LogUnavailableError
_DECIDED = (Written, LogUnavailableError)
Archived = Mapping[str, int | LogUnavailableError]


class _Group(NamedTuple):
    """The events that one call writes; `answers` comes true with one answer each."""

    events: list[ReadyEvent]
    answers: asyncio.Future[Sequence[Appended | LogUnavailableError]]


_Place = tuple[_Group, int]
"""Of an event: its group, and its number in it."""


class EventWriter:
    """Writes events. Safe for many callers at once."""

    def __init__(self, log: LogWriter, archived: ArchivedIds, tail: LogTail, names: Names) -> None:
        self._log = log
        self._archived = archived
        self._tail = tail
        self._recent = tail.ids
        self._prefix = names.subject("events.v1.")
        self._under_way: dict[str, _Place] = {}

    async def write(self, events: Sequence[ReadyEvent]) -> list[Answer]:
        """Write events, in order; one answer each. Raises LogOverloadedError: then none was written."""
        if not events:
            return []
        try:
            archived = await self.look_up([each.event_id for each in events])
        except LogUnavailableError as error:
            return [error] * len(events)
        return await self.append(events, archived)

    async def look_up(self, event_ids: Sequence[str]) -> Archived:
        """What only the archive and the log's tail tell of ids. Raises LogUnavailableError."""
        recent, under_way = self._recent, self._under_way
        new = [each for each in event_ids if each not in recent and each not in under_way]
        archived = await self._archived.positions_of(new)
        await self._tail.up_to_date()
        return archived

    def known(self, event_ids: Iterable[str], archived: Archived) -> set[str]:
        """Those ids of which `append` would not write an event, as another was, is being, or may have been written."""
        recent, under_way = self._recent, self._under_way
        return {each for each in event_ids if each in recent or each in under_way or each in archived}

    async def append(self, events: Sequence[ReadyEvent], archived: Archived) -> list[Answer]:
        """Like `write`, after `look_up` of the events' ids. Nothing else runs before the ids are claimed."""
        group = _Group([], asyncio.get_running_loop().create_future())
        ids = [event.event_id for event in events]
        if self._all_new(ids, archived):
            return await self._append_new(events, ids, group)
        fates = [self._fate(event, group, archived) for event in events]
        await self._append(group)
        await _settled([each[0] for each in fates if not isinstance(each, _DECIDED) and each[0] is not group])
        answers = [
            fate if isinstance(fate, _DECIDED) else _answer(event, fate, group)
            for event, fate in zip(events, fates, strict=True)
        ]
        _count(answers)
        return answers

    def _all_new(self, event_ids: Sequence[str], archived: Archived) -> bool:
        """Whether nothing is known of the ids, and each comes once: the usual case, which is told at once."""
        known = (self._recent, self._under_way, archived)
        return len(set(event_ids)) == len(event_ids) and all(
            each.keys().isdisjoint(event_ids) for each in known
        )

    async def _append_new(
        self, events: Sequence[ReadyEvent], event_ids: Sequence[str], group: _Group
    ) -> list[Answer]:
        group.events.extend(events)
        self._under_way.update(zip(event_ids, zip(repeat(group), count()), strict=False))
        await self._append(group)
        answers = [
            answer if isinstance(answer, LogUnavailableError) else Written(event.partition, *answer)
            for event, answer in zip(events, group.answers.result(), strict=True)
        ]
        _count(answers)
        return answers

    def _fate(self, event: ReadyEvent, group: _Group, archived: Archived) -> Answer | _Place:
        """What is known of the event, or the group and place in it that will tell."""
        event_id = event.event_id
        if (under_way := self._under_way.get(event_id)) is not None:
            return under_way
        known = archived.get(event_id, None) if archived else None
        if known is None:
            known = self._recent.get(event_id)
        if known is not None:
            return known if isinstance(known, LogUnavailableError) else Written(event.partition, known, True)
        place = self._under_way[event_id] = (group, len(group.events))
        group.events.append(event)
        return place

    async def _append(self, group: _Group) -> None:
        answers: Sequence[Appended | LogUnavailableError] = ()
        records = [self._record(event) for event in group.events]
        try:
            answers = await self._log.append(records) if records else ()
        finally:
            missing = len(group.events) - len(answers)
            unknown = LogUnavailableError("the write was given up before the log acknowledged")
            self._settle(group, [*answers, *[unknown] * missing])

    def _settle(self, group: _Group, answers: Sequence[Appended | LogUnavailableError]) -> None:
        group.answers.set_result(answers)
        for event in group.events:
            del self._under_way[event.event_id]  # the tail has been told what was written

    def _record(self, event: ReadyEvent) -> Record:
        event_id, partition, event_type, payload, decoded = event
        return Record(f"{self._prefix}{partition}.{event_type}", event_id, payload, decoded)

    def forget(self, first: int, last: int) -> None:
        """Forget the ids of events at positions from `first` to `last`: some were erased, and sent again they are new
        facts. The archive knows the others."""
        self._recent.forget(first, last)

    async def position_of(self, event_id: str) -> int | None:
        """Where the event of that id lies; None when there is none. Raises LogUnavailableError when that cannot be
        found out now."""
        if (place := self._under_way.get(event_id)) is not None:
            await _settled([place[0]])
        if (position := self._recent.get(event_id)) is not None:
            return position
        # Another instance may have written it a moment ago: then the tail tells, the window of NATS does not.
        await self._tail.complete()
        if (position := self._recent.get(event_id)) is not None:
            return position
        found = (await self._archived.positions_of([event_id], strict=True)).get(event_id)
        if isinstance(found, LogUnavailableError):
            raise found
        return found


async def _settled(groups: Sequence[_Group]) -> None:
    """Wait for groups of other calls. A call that is cancelled must not take them along."""
    for group in groups:
        await asyncio.shield(group.answers)


def _answer(event: ReadyEvent, fate: _Place, own: _Group) -> Answer:
    group, place = fate
    answer = group.answers.result()[place]
    if isinstance(answer, LogUnavailableError):
        return answer
    is_first = group is own and group.events[place] is event
    return Written(event.partition, answer.position, answer.duplicate or not is_first)


def _count(answers: Sequence[Answer]) -> None:
    tally = Tally([each.duplicate if type(each) is Written else None for each in answers])
    for outcome, number in tally.items():
        _WRITTEN[outcome].inc(number)


def token_positions(outcomes: Sequence[object]) -> Mapping[int, int]:
    """The furthest position of each partition that `outcomes` touch."""
    positions: dict[int, int] = {}
    for outcome in outcomes:
        if isinstance(outcome, Written):
            positions[outcome.partition] = max(outcome.position, positions.get(outcome.partition, 0))
    return positions
