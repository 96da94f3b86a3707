"""Visits as a fold of a user's events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.visits import Visit, VisitTracker, derived_session_id

IDLE_MS = 30 * 60_000
USER = 7
_events = st.lists(
    st.tuples(st.sampled_from(["", "", "s1", "s2"]), st.integers(0, 4 * IDLE_MS), st.booleans()), max_size=30
)


def tracker(capacity: int = 10) -> VisitTracker:
    return VisitTracker(IDLE_MS, capacity)


def test_a_visit_that_nobody_named_is_named_after_user_and_start():
    assert tracker().enter(USER, "", 1_000, True).visit.session_id == derived_session_id(USER, 1_000)


def test_a_restored_visit_goes_on():
    subject = tracker()
    subject.restore(USER, Visit("s1", 1_000, True))
    arrival = subject.enter(USER, "", 5_000, True)
    assert (arrival.visit.session_id, arrival.dwell_ms) == ("s1", 4_000)


def test_a_visit_here_is_newer_than_one_looked_up():
    subject = tracker()
    subject.enter(USER, "here", 1_000, True)
    subject.restore(USER, Visit("there", 1_000, True))
    assert subject.enter(USER, "", 2_000, True).visit.session_id == "here"


def test_an_event_far_older_than_the_visit_begins_another():
    subject = tracker()
    newest = subject.enter(USER, "", 10 * IDLE_MS, True).visit.session_id
    assert subject.enter(USER, "", 0, True).visit.session_id != newest


@given(_events)
def test_dwell_is_never_negative_and_never_of_times_that_nobody_gave(events):
    subject = tracker()
    for session_id, time_ms, told in events:
        dwell_ms = subject.enter(USER, session_id, time_ms, told).dwell_ms
        assert dwell_ms is None or (dwell_ms >= 0 and told)


@given(_events)
def test_a_named_session_is_kept_as_it_is_named(events):
    subject = tracker()
    for session_id, time_ms, told in events:
        entered = subject.enter(USER, session_id, time_ms, told).visit.session_id
        assert entered == session_id if session_id else entered


@given(_events)
def test_the_newest_time_of_a_visit_never_goes_back(events):
    subject = tracker()
    for session_id, time_ms, told in events:
        assert subject.enter(USER, session_id, time_ms, told).visit.newest_ms >= time_ms
