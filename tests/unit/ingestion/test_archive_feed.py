"""What was read for the log's tail reaches the archiver once, or it is told to read for itself."""

from __future__ import annotations

from services.ingestion.archive.archive_feed import ArchiveFeed
from shared.adapters.jetstream.log_reader import LogRecord


def records(*positions: int) -> list[LogRecord]:
    return [LogRecord(position, "events.v1.0.click", "", b"x" * 10) for position in positions]


def feed(start: int = 0, **limits: int) -> ArchiveFeed:
    made = ArchiveFeed(**limits)
    made.begin(start)
    return made


async def test_what_comes_is_taken_once_and_in_order():
    made = feed()
    made.offer(records(1, 2))
    made.offer(records(5))
    assert [each.position for each in await made.take(0)] == [1, 2, 5]
    made.offer(records(6))
    assert [each.position for each in await made.take(5)] == [6]


async def test_what_the_archive_holds_already_is_left_out():
    made = feed()
    made.offer(records(1, 2, 3))
    assert [each.position for each in await made.take(2)] == [3]


def test_it_covers_what_lies_behind_its_beginning():
    assert [feed(10).covers(position) for position in (9, 10, 11)] == [False, True, True]


def test_what_nobody_takes_is_dropped_and_to_be_read_from_the_log():
    made = feed(most_records=3)
    made.offer(records(1, 2))
    made.offer(records(3, 4))
    assert [made.covers(position) for position in (0, 3, 4)] == [False, False, True]


def test_it_holds_only_so_many_bytes():
    made = feed(most_bytes=25)
    made.offer(records(1, 2, 3))
    assert not made.covers(0)


async def test_after_a_drop_it_goes_on_with_what_comes_next():
    made = feed(most_records=3)
    made.offer(records(1, 2, 3, 4))
    made.offer(records(5))
    assert [each.position for each in await made.take(4)] == [5]
