"""Each event id enters the log once, whatever retries, duplicates and refusals there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from services.ingestion.archive.archived_ids import ArchivedIds
from services.ingestion.writing.event_writer import EventWriter, ReadyEvent, Written, token_positions
from services.ingestion.writing.recent_ids import RecentIds
from shared.adapters.jetstream.log_writer import Appended, LogOverloadedError, LogUnavailableError, Record
from shared.adapters.jetstream.streams import Names
from tests.conditions import eventually


@dataclass
class Log:
    """A log in memory, which fails as told."""

    records: list[Record] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    waiting: bool = False
    duplicates: dict[str, int] = field(default_factory=dict)
    notice: Callable[[Sequence[Record], Sequence[Appended]], None] | None = None

    def __post_init__(self) -> None:
        self.answers.set()

    async def append(self, records: Sequence[Record]) -> list[Appended | LogUnavailableError]:
        self.waiting = True
        await self.answers.wait()
        if isinstance(self.failure, LogOverloadedError):
            raise self.failure
        if self.failure is not None:
            return [self.failure] * len(records)
        if self.duplicates:
            return [Appended(self.duplicates[record.message_id], True) for record in records]
        first = len(self.records) + 1
        self.records += records
        answers = [Appended(first + offset, False) for offset in range(len(records))]
        if self.notice is not None:
            self.notice(records, answers)
        return answers


@dataclass
class Archive:
    """An archive that holds some events, or is away."""

    positions: dict[str, int] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    async def positions_of(self, event_ids: Sequence[str]) -> dict[str, int]:
        self.asked += 1
        if self.away:
            raise OSError("connection refused")
        return {each: self.positions[each] for each in event_ids if each in self.positions}

    async def newest_payloads(self, user_keys: Sequence[int]) -> dict[int, tuple[int, bytes]]:
        return {}

    async def event_ids(self) -> AsyncIterator[list[str]]:
        yield list(self.positions)


@dataclass
class Tail:
    """The log's tail as far as it was read, which may not be far enough."""

    ids: RecentIds = field(default_factory=RecentIds)
    lost: bool = False
    unread: dict[str, int] = field(default_factory=dict)

    def wrote(self, records: Sequence[Record], answers: Sequence[Appended]) -> None:
        for record, answer in zip(records, answers, strict=True):
            self.ids.remember(record.message_id, answer.position)

    async def up_to_date(self) -> None:
        if self.lost:
            raise LogUnavailableError("cut off")

    async def complete(self) -> None:
        await self.up_to_date()
        for event_id, position in self.unread.items():
            self.ids.remember(event_id, position)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def tail() -> Tail:
    return Tail()


@pytest.fixture
def writer(log, archive, tail) -> EventWriter:
    return event_writer(log, archive, tail)


def event_writer(log: Log, archive: Archive, tail: Tail) -> EventWriter:
    """A writer whose tail is told what it writes."""
    log.notice = tail.wrote
    return EventWriter(log, ArchivedIds(archive), tail, Names("test"))


def ready(event_id: str, event_type: str = "click") -> ReadyEvent:
    return ReadyEvent(event_id, 3, event_type, b"")


async def write(writer: EventWriter, *event_ids: str) -> list[tuple[int, bool]]:
    """Positions and whether they are duplicates."""
    outcomes = await writer.write([ready(each) for each in event_ids])
    return [(each.position, each.duplicate) for each in outcomes]


async def test_events_are_appended_in_order_under_their_ids(writer, log):
    assert await write(writer, "a", "b") == [(1, False), (2, False)]
    assert [record.message_id for record in log.records] == ["a", "b"]


async def test_the_subject_holds_partition_and_type(writer, log):
    await writer.write([ready("a", "like")])
    assert log.records[0].subject == "test.events.v1.3.like"


async def test_a_second_write_is_a_duplicate_of_the_first(writer, log):
    assert await write(writer, "a") + await write(writer, "a") == [(1, False), (1, True)]
    assert len(log.records) == 1


async def test_an_id_twice_in_one_call_is_written_once(writer, log):
    assert await write(writer, "a", "a", "b") == [(1, False), (1, True), (2, False)]


async def test_two_calls_at_the_same_time_write_an_id_once(writer, log):
    log.answers.clear()
    calls = [asyncio.create_task(write(writer, "a")) for _ in range(3)]
    await asyncio.sleep(0)
    log.answers.set()
    assert sorted(await asyncio.gather(*calls)) == [[(1, False)], [(1, True)], [(1, True)]]


async def test_what_the_archive_holds_is_a_duplicate_at_its_first_position(writer, log, archive):
    archive.positions["old"] = 77
    assert await write(writer, "old", "new") == [(77, True), (1, False)]


async def test_what_the_tail_of_the_log_holds_is_a_duplicate_even_while_the_archive_is_away(
    writer, archive, tail
):
    archive.away = True
    tail.ids.remember("of another instance", 55)
    assert await write(writer, "of another instance") == [(55, True)]


async def test_while_the_tail_of_the_log_cannot_be_read_nothing_is_written(writer, log, tail):
    tail.lost = True
    outcomes = await writer.write([ready("a"), ready("b")])
    assert [type(each) for each in outcomes] == [LogUnavailableError] * 2
    assert log.records == []


async def test_while_the_archive_is_away_writes_go_on_and_it_is_left_in_peace(writer, archive):
    archive.away = True
    assert await write(writer, "a") + await write(writer, "b") == [(1, False), (2, False)]
    assert archive.asked == 1


async def test_an_archive_whose_ids_are_known_is_asked_for_those_alone(log, archive, tail):
    archive.positions["old"] = 77
    archived = ArchivedIds(archive)
    await archived.load()
    writer = EventWriter(log, archived, tail, Names("test"))
    assert await write(writer, "new") + await write(writer, "old") == [(1, False), (77, True)]
    assert archive.asked == 1


async def test_while_the_archive_is_away_an_id_that_it_may_hold_is_not_written_again(log, archive, tail):
    archive.positions["old"] = 77
    archived = ArchivedIds(archive)
    await archived.load()
    archive.away = True
    outcomes = await EventWriter(log, archived, tail, Names("test")).write([ready("old"), ready("new")])
    assert isinstance(outcomes[0], LogUnavailableError)
    assert outcomes[1] == Written(3, 1, False)


async def test_an_id_on_its_way_to_the_archive_is_known_to_it(log, archive, tail):
    archived = ArchivedIds(archive)
    await archived.load()
    archived.note(["noted"])
    archive.positions["noted"] = 5
    assert await write(EventWriter(log, archived, tail, Names("test")), "noted") == [(5, True)]


async def test_what_the_log_did_not_take_can_be_sent_again(writer, log):
    log.failure = LogUnavailableError("away")
    assert isinstance((await writer.write([ready("a")]))[0], LogUnavailableError)
    log.failure = None
    assert await write(writer, "a") == [(1, False)]


async def test_after_an_overload_the_same_events_can_be_sent_again(writer, log):
    log.failure = LogOverloadedError("full")
    with pytest.raises(LogOverloadedError):
        await write(writer, "a", "b")
    log.failure = None
    assert await write(writer, "a", "b") == [(1, False), (2, False)]


async def two_calls_under_way(writer, log) -> tuple[asyncio.Task, asyncio.Task]:
    """The first makes the write, the second waits for it."""
    log.answers.clear()
    first = asyncio.create_task(write(writer, "a", "b"))
    await eventually(lambda: log.waiting)
    second = asyncio.create_task(writer.write([ready("a")]))
    await asyncio.sleep(0)
    return first, second


async def test_a_caller_that_gives_up_leaves_nobody_waiting(writer, log):
    first, second = await two_calls_under_way(writer, log)
    first.cancel()
    assert isinstance((await asyncio.wait_for(second, 5))[0], LogUnavailableError)


async def test_a_second_caller_that_gives_up_takes_nothing_from_the_first(writer, log):
    first, second = await two_calls_under_way(writer, log)
    second.cancel()
    await asyncio.wait([second])
    log.answers.set()
    assert await first == [(1, False), (2, False)]
    assert await write(writer, "a", "b") == [(1, True), (2, True)]


def test_the_token_covers_the_furthest_position_of_each_partition():
    outcomes = [Written(3, 5, False), Written(3, 4, True), Written(1, 9, False), LogUnavailableError("away")]
    assert token_positions(outcomes) == {3: 5, 1: 9}


async def test_an_erased_event_sent_again_is_a_new_fact(writer, log):
    await write(writer, "a", "b", "c")
    writer.forget(2, 2)
    assert await write(writer, "a", "b", "c") == [(1, True), (4, False), (3, True)]


async def test_what_only_the_log_knows_as_a_duplicate_is_not_remembered(writer, log):
    log.duplicates = {"a": 3}
    assert await write(writer, "a") == [(3, True)]
    log.duplicates = {}
    assert await write(writer, "a") == [(1, False)]


async def test_where_an_event_lies_is_not_told_as_long_as_nothing_is_known_of_the_archive(writer, archive):
    archive.away = True
    with pytest.raises(LogUnavailableError):
        await writer.position_of("old")


async def test_an_event_whose_write_is_under_way_is_waited_for(writer, log):
    log.answers.clear()
    call = asyncio.create_task(write(writer, "a"))
    await eventually(lambda: log.waiting)
    position = asyncio.create_task(writer.position_of("a"))
    log.answers.set()
    await call
    assert await position == 1


async def test_an_event_that_another_instance_wrote_a_moment_ago_is_found_at_the_logs_tail(writer, tail):
    tail.unread["theirs"] = 7
    assert await writer.position_of("theirs") == 7
