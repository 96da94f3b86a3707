"""Floods: token buckets per user and per source, and the quarantine of a user who overflows one. Pure: no clock.

A bucket holds up to `burst` tokens, each event takes one, time brings new ones. Users are measured by event time, so
that replaying a history gives the same answer at any speed; sources by time of receipt. An event that is older than
the newest one takes its token and brings none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from shared.domain.lru import LeastRecentlyUsed


class BucketSize(NamedTuple):
    """burst: tokens of a full bucket, at least 1. refill_per_second: new tokens per second, 0 or more."""

    burst: float
    refill_per_second: float


class Quarantine(NamedTuple):
    """minutes: how long, in event time, a user's events are refused after an overflow. reverse_last: how many of the
    events that counted before it are handed out to be taken back."""

    minutes: float
    reverse_last: int


class CountedEvent(NamedTuple):
    """An event that took a token: its id and its bytes as they lie in the log."""

    event_id: str
    payload: bytes


@dataclass(slots=True)
class _Bucket:
    tokens: float
    newest_ms: int
    quarantined_until_ms: int = 0
    counted: deque[CountedEvent] | None = field(default=None)


class Verdict(Enum):
    """On an event. NEAR: it may count, but the user is near the limit, so the event is to be remembered by `count`."""

    REFUSED = 0
    ALLOWED = 1
    NEAR = 2


class TokenBuckets:
    """Buckets of at most `capacity` keys; a key not seen for long begins anew with a full one."""

    def __init__(self, size: BucketSize, capacity: int) -> None:
        self._burst, self._refill_per_ms = size.burst, size.refill_per_second / 1000.0
        self._buckets: LeastRecentlyUsed[object, _Bucket] = LeastRecentlyUsed(capacity)

    def take(self, key: object, time_ms: int) -> bool:
        """Whether there was a token left for an event at `time_ms`, milliseconds since 1970."""
        bucket = self.filled(key, time_ms)
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def peek(self, key: object, time_ms: int) -> bool:
        """Whether `take` would say yes; changes nothing."""
        bucket = self._buckets.peek(key)
        return bucket is None or bucket.tokens + self._new_tokens(bucket, time_ms) >= 1.0

    def filled(self, key: object, time_ms: int) -> _Bucket:
        """The key's bucket with the tokens that time has brought."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(self._burst, time_ms)
            self._buckets.put(key, bucket)
        elif time_ms > bucket.newest_ms:
            bucket.tokens = min(self._burst, bucket.tokens + self._new_tokens(bucket, time_ms))
            bucket.newest_ms = time_ms
        return bucket

    def give_back(self, key: object) -> None:
        """Put one token back."""
        bucket = self._buckets.peek(key)
        if bucket is not None:
            bucket.tokens += 1.0

    def known(self, key: object) -> _Bucket | None:
        """The key's bucket as it stands; None for a key not seen of late."""
        return self._buckets.peek(key)

    def forget(self, key: object) -> None:
        """Begin anew with a key."""
        self._buckets.drop(key)

    def _new_tokens(self, bucket: _Bucket, time_ms: int) -> float:
        return max(0, time_ms - bucket.newest_ms) * self._refill_per_ms


class UserFloods:
    """Who floods, and what of the flood had counted.

    Only a user with fewer than `reverse_last` tokens left has events remembered: those are just the ones that would be
    taken back, and users who never come near the limit cost a few numbers each.
    """

    def __init__(self, size: BucketSize, quarantine: Quarantine, capacity: int) -> None:
        self._buckets = TokenBuckets(size, capacity)
        self._quarantine_ms = int(quarantine.minutes * 60_000)
        self._reverse_last = quarantine.reverse_last

    def take(self, user_key: int, time_ms: int) -> Verdict:
        """Whether the user's event at `time_ms` may count. An event too many, a late one too, puts the user into
        quarantine from their newest event on."""
        bucket = self._buckets.filled(user_key, time_ms)
        if time_ms < bucket.quarantined_until_ms:
            return Verdict.REFUSED
        if bucket.tokens < 1.0:
            bucket.quarantined_until_ms = bucket.newest_ms + self._quarantine_ms
            return Verdict.REFUSED
        bucket.tokens -= 1.0
        if bucket.tokens < self._reverse_last:
            return Verdict.NEAR
        bucket.counted = None
        return Verdict.ALLOWED

    def peek(self, user_key: int, time_ms: int) -> bool:
        """Whether `take` would say yes; changes nothing."""
        bucket = self._buckets.known(user_key)
        quarantined = bucket is not None and time_ms < bucket.quarantined_until_ms
        return not quarantined and self._buckets.peek(user_key, time_ms)

    def count(self, user_key: int, event: CountedEvent) -> None:
        """Remember an event of a user near the limit."""
        bucket = self._buckets.known(user_key)
        if bucket is None:
            return
        if bucket.counted is None:
            bucket.counted = deque(maxlen=self._reverse_last)
        bucket.counted.append(event)

    def hand_out(self, user_key: int) -> list[CountedEvent]:
        """The remembered events of a user who has just overflowed, oldest first; each is handed out once."""
        bucket = self._buckets.known(user_key)
        if bucket is None or not bucket.counted:
            return []
        counted, bucket.counted = list(bucket.counted), None
        return counted

    def give_back(self, user_key: int, event_id: str) -> None:
        """The token of an event that did not enter the log after all."""
        self._buckets.give_back(user_key)
        bucket = self._buckets.known(user_key)
        if bucket is not None and bucket.counted:
            kept = [each for each in bucket.counted if each.event_id != event_id]
            bucket.counted = deque(kept, self._reverse_last)

    def forget(self, user_key: int) -> None:
        """Know nothing of a user any more."""
        self._buckets.forget(user_key)
