"""Token buckets, and the quarantine of users who overflow theirs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.flood import BucketSize, CountedEvent, Quarantine, TokenBuckets, UserFloods, Verdict

USER = 7
TIMES = st.lists(st.integers(0, 100_000), min_size=1, max_size=80)


def floods(burst: int = 5, per_second: float = 1.0, minutes: float = 1.0, last: int = 3) -> UserFloods:
    return UserFloods(BucketSize(burst, per_second), Quarantine(minutes, last), capacity=10)


def test_a_bucket_holds_its_burst_and_time_brings_tokens():
    buckets = TokenBuckets(BucketSize(2, 1.0), capacity=10)
    assert [buckets.take("a", 0) for _ in range(3)] == [True, True, False]
    assert [buckets.take("a", 1_000) for _ in range(2)] == [True, False]


def test_an_older_event_takes_a_token_and_brings_none():
    buckets = TokenBuckets(BucketSize(2, 1.0), capacity=10)
    assert [buckets.take("a", time_ms) for time_ms in (9_000, 0, 9_000)] == [True, True, False]


def test_a_user_over_the_limit_is_refused_until_the_quarantine_ends():
    subject = floods(burst=1)
    verdicts = [subject.take(USER, time_ms) for time_ms in (0, 0, 59_999, 60_000)]
    refused = Verdict.REFUSED
    assert [verdict is refused for verdict in verdicts] == [False, True, True, False]


def test_a_late_event_too_many_quarantines_from_the_newest_event_on():
    subject = floods(burst=2, minutes=1)
    verdicts = [subject.take(USER, time_ms) for time_ms in (600_000, 600_000, 0, 659_999, 660_000)]
    refused = Verdict.REFUSED
    assert [verdict is refused for verdict in verdicts] == [False, False, True, True, False]


def test_only_users_near_the_limit_have_events_to_remember():
    subject = floods(burst=5, last=3)
    verdicts = [subject.take(USER, 0) for _ in range(5)]
    assert verdicts == [Verdict.ALLOWED] * 2 + [Verdict.NEAR] * 3


def test_what_is_remembered_is_handed_out_once():
    subject = floods()
    subject.take(USER, 0)
    subject.count(USER, CountedEvent("e1", b"1"))
    assert subject.hand_out(USER) == [CountedEvent("e1", b"1")]
    assert subject.hand_out(USER) == []


def test_who_recovers_has_nothing_to_be_taken_back():
    subject = floods(burst=5, last=3)
    for number in range(3):
        if subject.take(USER, 0) is Verdict.NEAR:
            subject.count(USER, CountedEvent(f"e{number}", b""))
    subject.take(USER, 60_000)
    assert subject.hand_out(USER) == []


def test_a_token_that_is_given_back_can_be_taken_and_its_event_is_forgotten():
    subject = floods(burst=1, per_second=0)
    subject.take(USER, 0)
    subject.count(USER, CountedEvent("e1", b""))
    subject.give_back(USER, "e1")
    assert subject.hand_out(USER) == []
    assert subject.take(USER, 0) is not Verdict.REFUSED


@given(TIMES)
def test_looking_ahead_says_what_taking_says(times):
    subject = floods()
    for time_ms in times:
        foreseen = subject.peek(USER, time_ms)
        assert foreseen == (subject.take(USER, time_ms) is not Verdict.REFUSED)


@given(TIMES, st.integers(1, 5))
def test_never_more_count_than_the_burst_and_what_time_brings(times, burst):
    buckets = TokenBuckets(BucketSize(burst, 2.0), capacity=10)
    taken = sum(buckets.take("a", time_ms) for time_ms in times)
    assert taken <= burst + 2.0 * (max(times) - min(times)) / 1000


@given(TIMES)
def test_the_same_history_gives_the_same_verdicts(times):
    one, other = floods(), floods()
    assert [one.take(USER, each) for each in times] == [other.take(USER, each) for each in times]
