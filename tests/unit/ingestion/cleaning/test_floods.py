"""The step refuse-floods: a user who sends more than a person can is refused, and the burst is taken back."""

from __future__ import annotations

from tests.unit.ingestion.cleaning.conftest import notes
from tests.unit.ingestion.cleaning.moments import NOW_MS, at, untimed

FLOOD = [("user_id", "FLOOD")]
SMALL = {"burst": 10, "refill_per_second": 1, "quarantine_minutes": 1, "reverse_last": 4}


def burst(number: int, **fields) -> list:
    """So many events at one moment."""
    return [at(0, **fields) for _ in range(number)]


def test_a_burst_within_the_limit_is_taken(cleaning):
    assert cleaning(refuse_floods=SMALL).refusals(*burst(10)) == [[]] * 10


def test_an_event_too_many_is_refused_and_the_last_ones_that_counted_are_taken_back(cleaning):
    subject, events = cleaning(refuse_floods=SMALL), burst(12)
    assert subject.refusals(*events) == [[]] * 10 + [FLOOD] * 2
    assert subject.reversed_ids() == [each.event_id for each in events[6:10]]
    assert notes(subject.log[-1]) == [("refuse-floods", "corrects_event_id", "")]


def test_a_flood_over_several_calls_is_taken_back_once(cleaning):
    subject, events = cleaning(refuse_floods=SMALL), burst(14)
    for start in range(0, 14, 4):
        subject.drafts(*events[start : start + 4])
    assert subject.reversed_ids() == [each.event_id for each in events[6:10]]


def test_the_same_flood_again_is_refused_again_and_reverses_nothing_more(cleaning):
    subject, events = cleaning(refuse_floods=SMALL), burst(12)
    subject.drafts(*events)
    length = len(subject.log)
    assert subject.refusals(*events) == [[]] * 10 + [FLOOD] * 2
    assert len(subject.log) == length


def test_a_quarantine_ends_in_event_time(cleaning):
    subject = cleaning(refuse_floods=SMALL)
    subject.drafts(*burst(11))
    assert subject.refusals(at(59), at(61)) == [FLOOD, []]


def test_other_users_are_let_through(cleaning):
    subject = cleaning(refuse_floods=SMALL)
    subject.drafts(*burst(11))
    assert subject.refusals(at(0, user_id="u2")) == [[]]


def test_an_honest_history_at_full_speed_is_let_through(cleaning):
    subject = cleaning("refuse-floods")
    ratings = [at(number // 20, "rate", items=[f"i{number}"]) for number in range(737)]
    assert subject.refusals(*ratings, *burst(737)) == [[]] * 1474


def test_known_events_take_no_tokens(cleaning):
    subject, events = cleaning(refuse_floods=SMALL), burst(8)
    for _ in range(5):
        assert subject.refusals(*events) == [[]] * 8


def test_events_that_did_not_enter_the_log_take_no_tokens(cleaning):
    subject = cleaning(refuse_floods=SMALL)
    for _ in range(5):
        drafts = subject.drafts(*burst(8))
        assert not any(draft.violations for draft in drafts)
        for draft in drafts:
            subject.cleaner.undo(draft)


def test_a_source_over_its_limit_is_refused_until_time_brings_tokens(cleaning):
    subject = cleaning(refuse_floods={"source_burst": 2, "source_refill_per_second": 1})
    events = [untimed(user_id=f"u{number}") for number in range(3)]
    assert subject.refusals(*events, source="shop") == [[], [], [("source", "FLOOD")]]
    assert subject.refusals(untimed(), source="other") == [[]]
    assert subject.refusals(untimed(), source="shop", now_ms=NOW_MS + 1_000) == [[]]


def test_without_a_limit_a_source_sends_what_it_likes(cleaning):
    events = [untimed(user_id=f"u{number}") for number in range(100)]
    assert cleaning("refuse-floods").refusals(*events, source="shop") == [[]] * 100


def test_looking_ahead_says_the_same_and_takes_nothing(cleaning):
    subject = cleaning(refuse_floods=SMALL)
    foreseen = [subject.cleaner.foresee(draft, "", NOW_MS) for draft in subject.drafts(*burst(9))]
    assert foreseen == [()] * 9
    assert subject.refusals(at(0)) == [[]]
    assert [each.reason for each in subject.cleaner.foresee(subject.drafts(at(0))[0], "", NOW_MS)] == [
        "FLOOD"
    ]


def test_a_quarantined_users_events_can_still_be_reversed(cleaning):
    subject, events = cleaning(refuse_floods=SMALL), burst(11)
    subject.drafts(*events)
    assert subject.refusals(at(0, "reversal", items=(), corrects_event_id=events[0].event_id)) == [[]]
