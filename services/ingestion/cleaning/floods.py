"""The step `refuse-floods`: who sends too much is refused, and what of a user's flood had counted is taken back.

What a crash can lose: buckets, quarantines and the remembered events live in memory. After a restart a flooding user
has a full bucket again, so at most `burst` more events count per restart before the quarantine is back, and the
reversals of the last `reverse_last` events are lost when the crash comes between the overflow and their write, which
are one write apart. That is bounded and rare, and honest users never notice; keeping it on disk would cost every event.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.ingestion.cleaning.draft import Draft
from services.ingestion.writing.event_writer import ReadyEvent
from shared.domain.flood import BucketSize, CountedEvent, Quarantine, TokenBuckets, UserFloods, Verdict
from shared.domain.presets.cleaning_steps import RefuseFloods
from shared.domain.violation import Violation

FLOOD = "FLOOD"
_SOURCES = 10_000


class Floods:
    """Limits of users and of sources. users: how many users are measured at most."""

    def __init__(self, step: RefuseFloods, users: int) -> None:
        size = BucketSize(step.burst, step.refill_per_second)
        self._users = UserFloods(size, Quarantine(step.quarantine_minutes, step.reverse_last), users)
        self._sources: TokenBuckets | None = None
        if step.source_burst:
            source_size = BucketSize(step.source_burst, step.source_refill_per_second)
            self._sources = TokenBuckets(source_size, _SOURCES)

    def refusal(self, draft: Draft, source: str, now_ms: int) -> Sequence[Violation]:
        """Why an event may not count; nothing when it may, and then it has taken its tokens. source: empty for none.
        now_ms: time of receipt, milliseconds since 1970."""
        if source and self._sources is not None:
            if not self._sources.take(source, now_ms):
                return (_SOURCE_FLOOD,)
            draft.source = source
        verdict = self._users.take(draft.user_key, draft.time_ms)
        draft.near_flood = verdict is Verdict.NEAR
        return (_USER_FLOOD,) if verdict is Verdict.REFUSED else ()

    def foreseen(self, draft: Draft, source: str, now_ms: int) -> Sequence[Violation]:
        """What `refusal` would say; changes nothing."""
        if source and self._sources is not None and not self._sources.peek(source, now_ms):
            return (_SOURCE_FLOOD,)
        return () if self._users.peek(draft.user_key, draft.time_ms) else (_USER_FLOOD,)

    @property
    def limits_sources(self) -> bool:
        """Whether sources have a limit."""
        return self._sources is not None

    def count(self, user_key: int, entry: ReadyEvent) -> None:
        """Remember an event that was let through near the limit."""
        self._users.count(user_key, CountedEvent(entry.event_id, entry.payload))

    def hand_out(self, user_key: int) -> list[CountedEvent]:
        """Events of a refused user that are to be taken back; each once."""
        return self._users.hand_out(user_key)

    def give_back(self, draft: Draft) -> None:
        """The tokens of an event that did not enter the log after all."""
        self._users.give_back(draft.user_key, draft.event_id)
        if draft.source and self._sources is not None:
            self._sources.give_back(draft.source)

    def forget(self, user_key: int) -> None:
        """Know nothing of a user any more."""
        self._users.forget(user_key)


_USER_FLOOD = Violation("user_id", "sends more events than a person can; refused for a while", FLOOD)
_SOURCE_FLOOD = Violation("source", "sends more events than it may; send them more slowly", FLOOD)
