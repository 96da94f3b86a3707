"""Sessions and dwell: what an event's visit tells."""

from __future__ import annotations

import pytest

from tests.builders import message
from tests.unit.ingestion.cleaning.conftest import notes, receipt
from tests.unit.ingestion.cleaning.moments import NOW_MS, at, moment, untimed

SESSION, DWELL = "fill-session", "fill-dwell"


def test_events_of_one_visit_get_one_session(cleaning):
    subject = cleaning(SESSION)
    events = [subject.clean(at(seconds)) for seconds in (0, 60, 60 + 1800)]
    assert len({event.session_id for event in events}) == 1
    assert notes(events[0]) == [(SESSION, "session_id", "")]


def test_after_the_idle_time_a_visit_begins(cleaning):
    subject = cleaning(SESSION)
    assert subject.clean(at(0)).session_id != subject.clean(at(1801)).session_id


def test_the_idle_time_is_a_parameter(cleaning):
    subject = cleaning(fill_session={"idle_minutes": 1})
    assert subject.clean(at(0)).session_id != subject.clean(at(61)).session_id


def test_two_instances_derive_the_same_session(cleaning):
    one, other = cleaning(SESSION), cleaning(SESSION)
    assert one.clean(at(0)).session_id == other.clean(at(0)).session_id


def test_users_have_sessions_of_their_own(cleaning):
    subject = cleaning(SESSION)
    assert subject.clean(at(0)).session_id != subject.clean(at(0, user_id="u2")).session_id


def test_a_session_of_the_senders_goes_on_for_events_without_one(cleaning):
    subject = cleaning(SESSION)
    named = subject.clean(at(0, session_id="mine"))
    assert (named.session_id, notes(named)) == ("mine", [])
    assert subject.clean(at(5)).session_id == "mine"


def test_a_late_event_belongs_to_the_visit_and_tells_no_dwell(cleaning):
    subject = cleaning(SESSION, DWELL)
    first, late = subject.clean(at(60)), subject.clean(at(30))
    assert first.session_id == late.session_id
    assert not late.HasField("previous_dwell_seconds")


def test_dwell_is_the_time_since_the_event_before(cleaning):
    subject = cleaning(DWELL)
    first, second = subject.clean(at(0)), subject.clean(at(12.5))
    assert not first.HasField("previous_dwell_seconds")
    assert second.previous_dwell_seconds == pytest.approx(12.5)
    assert notes(second) == [(DWELL, "previous_dwell_seconds", "")]


@pytest.mark.parametrize("pair", [(at, untimed), (untimed, at), (untimed, untimed)])
def test_a_time_that_is_not_the_senders_tells_no_dwell(cleaning, pair):
    subject = cleaning(DWELL)
    events = [subject.clean(make(0, session_id="s") if make is at else make(session_id="s")) for make in pair]
    assert not events[1].HasField("previous_dwell_seconds")


def test_dwell_does_not_reach_into_another_visit(cleaning):
    subject = cleaning(DWELL)
    subject.clean(at(0, session_id="s1"))
    assert not subject.clean(at(5, session_id="s2")).HasField("previous_dwell_seconds")


def test_a_visit_comes_back_from_the_newest_event_in_the_log(cleaning):
    before, after = cleaning(SESSION, DWELL), cleaning(SESSION, DWELL)
    stored = before.clean(at(0))
    event = at(20)
    key = after.cleaner.draft(event, *receipt()).user_key
    after.cleaner.restore({key: stored.SerializeToString()})
    again = after.clean(event)
    assert (again.session_id, again.previous_dwell_seconds) == (stored.session_id, pytest.approx(20))


def test_a_user_not_seen_of_late_is_to_be_looked_up_once(cleaning):
    subject = cleaning(SESSION)
    draft = subject.cleaner.draft(at(0), *receipt())
    assert subject.cleaner.missed_users([draft, draft]) == [draft.user_key]
    subject.clean(at(1))
    assert subject.cleaner.missed_users([draft]) == []


def test_users_not_seen_for_long_are_forgotten(cleaning):
    subject = cleaning(SESSION, users=2)
    drafts = subject.drafts(*[at(0, user_id=f"u{number}") for number in range(3)])
    assert subject.cleaner.missed_users(drafts) == [drafts[0].user_key]


def test_an_event_that_did_not_enter_the_log_leaves_no_visit(cleaning):
    subject = cleaning(SESSION)
    draft = subject.drafts(at(0))[0]
    subject.cleaner.undo(draft)
    assert subject.cleaner.missed_users([draft]) == [draft.user_key]


def test_an_event_that_is_known_moves_no_visit(cleaning):
    subject, event = cleaning(DWELL), at(0)
    subject.clean(event)
    subject.clean(at(10))
    subject.clean(event)
    assert subject.clean(at(15)).previous_dwell_seconds == pytest.approx(5)


def test_a_clamped_time_tells_no_dwell(cleaning):
    subject = cleaning(DWELL, "clamp-clock-skew")
    subject.clean(message(event_id="before", event_time=moment(NOW_MS - 10_000)))
    clamped = subject.clean(message(event_id="ahead", event_time=moment(NOW_MS + 5_000)))
    assert clamped.event_time == moment(NOW_MS)
    assert not clamped.HasField("previous_dwell_seconds")
