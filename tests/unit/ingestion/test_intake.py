"""The way of an event into the log: what is looked up, and what becomes of reversals that the log did not take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.reversals import reversal_id
from services.ingestion.intake import Intake, Rejected
from services.ingestion.writing.event_writer import Written
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_writer import LogOverloadedError, LogUnavailableError, RecordRefusedError
from tests.conditions import eventually
from tests.unit.ingestion import intakes
from tests.unit.ingestion import test_event_writer as stand_ins
from tests.unit.ingestion.cleaning.moments import at
from tests.unit.ingestion.intakes import AWAY, Originals, steps


@dataclass
class Archive(stand_ins.Archive):
    """Also knows users' newest events."""

    newest: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    users_asked: list[set[int]] = field(default_factory=list)

    async def newest_payloads(self, user_keys: Sequence[int]) -> dict[int, tuple[int, bytes]]:
        self.users_asked.append(set(user_keys))
        if self.away:
            raise OSError("connection refused")
        return {each: self.newest[each] for each in user_keys if each in self.newest}


@pytest.fixture
def log() -> stand_ins.Log:
    return stand_ins.Log()


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def originals() -> Originals:
    return Originals()


@pytest.fixture
def intake(log, archive, originals) -> Intake:
    floods = {"burst": 10, "refill_per_second": 0}
    declared = steps("normalise", "fill-session", "drop-accidental-clicks", refuse_floods=floods)
    return intakes.intake(log, declared, archive, originals)


def written(log: stand_ins.Log) -> list[str]:
    """Event ids of the log, in order."""
    return [record.message_id for record in log.records]


async def test_a_reversal_is_written_with_its_cause_and_has_no_outcome_of_its_own(intake, log):
    outcomes = await intake.take([at(0, event_id="a", items=["a"]), at(0.3, event_id="b", items=["b"])])
    assert [each.position for each in outcomes] == [1, 2]
    assert written(log) == ["a", "b", reversal_id("a")]


@pytest.mark.parametrize("failure", [AWAY, LogOverloadedError("full")])
async def test_a_reversal_that_the_log_did_not_take_goes_along_with_the_next_write(intake, log, failure):
    await intake.take([at(0, event_id="a", items=["a"])])
    log.failure = failure
    await asyncio.gather(intake.take([at(0.3, items=["b"])]), return_exceptions=True)
    log.failure = None
    await intake.take([at(90, event_id="c", user_id="other")])
    await intake.take([at(91, event_id="d", user_id="other")])
    assert written(log) == ["a", "c", reversal_id("a"), "d"]


@pytest.mark.parametrize("failure", [AWAY, LogOverloadedError("full")])
async def test_what_the_log_did_not_take_is_not_taken_back_before_it_is_there(intake, log, failure):
    click, left = at(0, event_id="a", items=["a"]), at(0.3, event_id="b", items=["b"])
    log.failure = failure
    await asyncio.gather(intake.take([click, left]), return_exceptions=True)
    log.failure = None
    await intake.take([at(90, event_id="c", user_id="other")])
    await intake.take([click, left])
    assert written(log) == ["c", "a", "b", reversal_id("a")]


async def test_what_another_call_brings_and_the_log_did_not_take_is_not_taken_back(intake, log):
    log.answers.clear()
    log.waiting = False
    calls = [asyncio.create_task(intake.take([at(seconds, items=[f"{seconds}"])])) for seconds in (0, 0.3)]
    await eventually(lambda: log.waiting)
    log.failure = AWAY
    log.answers.set()
    await asyncio.wait(calls)
    log.failure = None
    await intake.take([at(90, event_id="c", user_id="other")])
    assert written(log) == ["c"]


async def test_a_flood_that_the_log_did_not_take_is_not_taken_back(intake, log):
    log.failure = AWAY
    await intake.take([at(0, event_id=f"e{number}") for number in range(12)])
    log.failure = None
    await intake.take([at(0, event_id="c", user_id="other")])
    assert written(log) == ["c"]


async def test_a_call_that_is_broken_off_leaves_its_reversal_owed(intake, log):
    await intake.take([at(0, event_id="a", items=["a"])])
    log.answers.clear()
    log.waiting = False
    call = asyncio.create_task(intake.take([at(0.3, event_id="b", items=["b"])]))
    await eventually(lambda: log.waiting)
    call.cancel()
    await asyncio.wait([call])
    log.answers.set()
    await intake.take([at(90, event_id="c", user_id="other")])
    assert written(log) == ["a", "c", reversal_id("a")]


async def test_events_sent_again_while_the_log_is_away_are_no_flood(intake, log):
    log.failure = AWAY
    for _ in range(5):
        outcomes = await intake.take([at(0, event_id=f"e{number}") for number in range(8)])
        assert outcomes == [AWAY] * 8


async def test_after_a_failed_write_the_archive_says_where_the_user_stands(intake, log, archive):
    stored = at(0, session_id="theirs", event_id="stored")
    archive.newest[user_key("u1")] = 1, stored.SerializeToString()
    log.failure = AWAY
    await intake.take([at(10)])
    await intake.take([at(10)])
    assert archive.users_asked == [{user_key("u1")}] * 2


async def test_newest_events_are_asked_for_once_in_a_batch_and_only_of_users_missed(intake, archive):
    await intake.take([at(0, user_id=each) for each in ("u1", "u2", "u1")])
    await intake.take([at(1, user_id=each) for each in ("u1", "u3")])
    assert archive.users_asked == [{user_key("u1"), user_key("u2")}, {user_key("u3")}]


async def test_while_the_archive_is_away_a_visit_begins(intake, archive, log):
    archive.away = True
    outcome = (await intake.take([at(0)]))[0]
    assert isinstance(outcome, Written)
    assert UserEvent.FromString(log.records[0].payload).session_id.startswith("visit-")


async def test_a_reversal_that_cannot_be_decided_now_is_to_be_sent_again(intake, log):
    outcomes = await intake.take([at(0, "reversal", items=(), corrects_event_id="x"), at(0, event_id="a")])
    assert isinstance(outcomes[0], LogUnavailableError) and written(log) == ["a"]


async def test_a_reversal_beside_another_copy_of_its_event_takes_back_what_the_log_holds(
    intake, log, originals
):
    await intake.take([at(0, event_id="a", items=["a"])])
    originals.events["a"] = UserEvent.FromString(log.records[0].payload)
    copy = at(50, event_id="a", items=["other"])
    await intake.take([copy, at(60, "reversal", items=(), corrects_event_id="a")])
    reversal = UserEvent.FromString(log.records[1].payload)
    assert reversal.corrected_event_time == originals.events["a"].event_time
    assert [each.item_id for each in reversal.items] == ["a"]


async def test_an_event_that_is_erased_is_not_taken_back_by_way_of_another_copy(intake, log, originals):
    await intake.take([at(0, event_id="a")])
    originals.events["a"] = None
    outcomes = await intake.take([at(0, event_id="a"), at(60, "reversal", items=(), corrects_event_id="a")])
    assert isinstance(outcomes[1], Rejected) and written(log) == ["a"]


async def test_a_reversal_of_nothing_is_refused(intake, originals):
    originals.events["x"] = None
    outcome = (await intake.take([at(0, "reversal", items=(), corrects_event_id="x")]))[0]
    assert isinstance(outcome, Rejected)
    assert (outcome.violations[0].field, outcome.violations[0].reason) == ("corrects_event_id", "NOT_FOUND")


async def test_a_check_changes_neither_the_event_nor_what_is_known(intake, archive):
    event = at(0, " Click", event_id="a")
    before = event.SerializeToString()
    assert not await intake.check(event)
    assert event.SerializeToString() == before and archive.users_asked == []


async def test_a_check_tells_of_floods(intake):
    await intake.take([at(0) for _ in range(11)])
    assert [each.reason for each in await intake.check(at(0))] == ["FLOOD"]
    assert not await intake.check(at(0, user_id="other"))


async def test_a_check_that_cannot_be_made_now_says_so(intake):
    with pytest.raises(LogUnavailableError):
        await intake.check(at(0, "reversal", items=(), corrects_event_id="x"))


async def test_an_event_that_never_fits_into_the_log_is_refused_for_good(intake, log):
    log.failure = RecordRefusedError("the payload has 2000000 bytes; at most 1047552 fit")
    [outcome] = await intake.take([at(0, event_id="a", items=["a"])])
    assert isinstance(outcome, Rejected)
    [violation] = outcome.violations
    assert (violation.field, violation.reason) == ("payload", "OUT_OF_RANGE")
    assert "at most 1047552" in violation.description
