"""Users, and sources of events, that send more than anybody can do."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import EFFECTS, REFUSED, TAKEN_BACK
from services.ingestion.cleaning.visitors import SeenEvent, Visitor
from shared.domain.cleaning import RefuseFloods
from shared.domain.flood import TokenBucket
from shared.domain.violation import Violation

STEP = "refuse-floods"
MOST_SOURCES = 10_000


class FloodGate:
    """Lets events through as long as their user and their source keep to the rule."""

    def __init__(self, rule: RefuseFloods) -> None:
        self._rule = rule
        self._suspicious_below = rule.burst / 2
        self._sources: OrderedDict[str, TokenBucket] = OrderedDict()

    def admits_source(self, source: str, now: float) -> bool:
        """Whether a source may send one more event at `now`, the time of receipt in seconds. An unnamed source may."""
        rule = self._rule
        if not rule.source_per_second or not source:
            return True
        bucket = self._sources.get(source)
        if bucket is None:
            bucket = self._sources[source] = TokenBucket(rule.source_burst or rule.source_per_second, now)
            if len(self._sources) > MOST_SOURCES:
                self._sources.popitem(last=False)
        return bucket.take(now, rule.source_burst or rule.source_per_second, rule.source_per_second)

    def admits(self, visitor: Visitor, event: UserEvent, time_ns: int, now: float) -> bool:
        """Whether the user may do one more thing. By event time, so that a replayed history is judged as it was lived;
        who is refused once is refused until the quarantine is over."""
        if now < visitor.quarantined_until:
            return False
        rule, seconds = self._rule, time_ns / 1e9
        if visitor.bucket is None:
            visitor.bucket = TokenBucket(rule.burst, seconds)
        if not visitor.bucket.take(seconds, rule.burst, rule.per_second):
            visitor.quarantined_until = now + rule.quarantine_minutes * 60.0
            return False
        if visitor.bucket.tokens < self._suspicious_below:
            self._suspect(visitor, SeenEvent.of(event, time_ns))
        else:
            visitor.suspects = None
        return True

    def _suspect(self, visitor: Visitor, seen: SeenEvent) -> None:
        if visitor.suspects is None:
            visitor.suspects = deque(maxlen=self._rule.reverse_last)
        visitor.suspects.append(seen)

    def caught(self, visitor: Visitor) -> Sequence[SeenEvent]:
        """What counted of the burst before the user was refused, once."""
        suspects, visitor.suspects = visitor.suspects or (), None
        EFFECTS.count(STEP, TAKEN_BACK, len(suspects))
        return list(suspects)

    def violation(self, what: str) -> Violation:
        """Why an event of a quarantined user, or of a source that sends too much, is refused."""
        EFFECTS.count(STEP, REFUSED)
        if what == "source":
            return Violation(
                "source", "sends more events than its limit allows; send fewer a second", "FLOOD"
            )
        minutes = self._rule.quarantine_minutes
        text = f"does more than {self._rule.per_second:g} events a second for long; quarantined for {minutes:g} minutes"
        return Violation("user_id", text, "FLOOD")
