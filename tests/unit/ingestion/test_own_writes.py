"""What an instance wrote is taken in the log's order, without gaps."""

from __future__ import annotations

from services.ingestion.writing.own_writes import OwnWrites
from shared.adapters.jetstream.log_append import Appended, LogUnavailableError, Record


def record(name: str) -> Record:
    return Record(f"events.v1.0.{name}", name, b"")


def wrote(own: OwnWrites, **positions: int) -> None:
    own.note([record(name) for name in positions], [Appended(each, False) for each in positions.values()])


def taken(own: OwnWrites, position: int) -> list[str]:
    return [each.message_id for each in own.take(position)]


def test_what_was_written_is_taken_once_in_order():
    own = OwnWrites()
    wrote(own, b=12, a=11)
    assert taken(own, 10) == ["a", "b"] and taken(own, 10) == []


def test_what_lies_behind_a_gap_is_kept_back():
    own = OwnWrites()
    wrote(own, a=11, c=13)
    assert taken(own, 10) == ["a"] and taken(own, 11) == [] and taken(own, 12) == ["c"]


def test_what_the_log_held_before_or_did_not_take_is_not_noted():
    answers = [Appended(5, True), LogUnavailableError("away"), Appended(6, False)]
    noted = OwnWrites().note([record(name) for name in "abc"], answers)
    assert [(each.position, each.message_id) for each in noted] == [(6, "c")]


def test_what_was_read_from_the_log_is_dropped():
    own = OwnWrites()
    wrote(own, a=11, b=12)
    own.drop(11)
    assert not own.holds(11) and own.holds(12)


def test_what_was_read_before_its_acknowledgement_came_is_not_kept():
    own = OwnWrites()
    noted = own.note([record("a"), record("b")], [Appended(11, False), Appended(12, False)], position=11)
    assert [each.message_id for each in noted] == ["a", "b"] and len(own) == 1 and taken(own, 11) == ["b"]


def test_what_nobody_takes_does_not_grow_without_bound():
    own = OwnWrites(most_records=2)
    wrote(own, a=1, b=2)
    wrote(own, c=3)
    assert len(own) == 1 and own.holds(3)


async def test_an_arrival_is_told_once():
    own = OwnWrites()
    wrote(own, a=1)
    assert await own.arrival(1.0) and not await own.arrival(0.01)
