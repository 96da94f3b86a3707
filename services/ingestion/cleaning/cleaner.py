"""Takes events through the steps that the domain's preset declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nats.nuid import NUID
from xxhash import xxh3_64_intdigest

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import filled
from services.ingestion.cleaning.clock_skew import clamp_clock_skew
from services.ingestion.cleaning.defaults import DefaultsFiller
from services.ingestion.cleaning.dwell import DwellWatch
from services.ingestion.cleaning.floods import FloodGate
from services.ingestion.cleaning.normalise import normalise
from services.ingestion.cleaning.plain import is_plain
from services.ingestion.cleaning.reversals import REVERSAL, made_reversal
from services.ingestion.cleaning.sessions import SessionFiller
from services.ingestion.cleaning.visitors import SeenEvent, Visitors
from services.ingestion.event_writer import ReadyEvent
from services.ingestion.validation import EventTimeBounds, event_violations
from shared.domain.cleaning import CleaningRules
from shared.domain.violation import Violation


class Receipt(NamedTuple):
    """When, and from whom, events came. source: as the sender names it, may be empty. given, defaulted: bytes to add to
    an event that came with, or without, an event time."""

    now_ns: int
    now: float
    given: bytes
    defaulted: bytes
    source: str = ""

    @staticmethod
    def at(now_ns: int) -> Receipt:
        """A receipt at a time in nanoseconds since 1970."""
        received = UserEvent()
        received.ingest_time.FromNanoseconds(now_ns)
        given = received.SerializeToString()
        received.event_time.FromNanoseconds(now_ns)
        return Receipt(now_ns, now_ns / 1e9, given, received.SerializeToString() + _FILLED_TIME)


_FILLED_TIME = filled("fill-event-time", "event_time")


class Cleaner:
    """The steps in their order. What it remembers of users is lost in a crash: then a visit may be cut in two, and what
    was about to be taken back may stay; nothing is lost or counted twice."""

    def __init__(self, rules: CleaningRules, bounds: EventTimeBounds, partitions: int) -> None:
        self.visitors = Visitors()
        self._rules = rules
        self._bounds = bounds
        self._partitions = partitions
        self._ids = NUID()
        self._sessions = SessionFiller(rules.fill_session) if rules.fill_session else None
        self._defaults = DefaultsFiller(rules.fill_defaults) if rules.fill_defaults else None
        self._gate = FloodGate(rules.refuse_floods) if rules.refuse_floods else None
        watches = rules.fill_dwell or rules.drop_accidental_clicks
        self._dwell = DwellWatch(rules) if watches else None

    @property
    def limits_sources(self) -> bool:
        """Whether the rules limit what one source may send."""
        floods = self._rules.refuse_floods
        return floods is not None and floods.source_per_second > 0

    def check(self, event: UserEvent, receipt: Receipt) -> list[Violation]:
        """What is wrong with an event once it is normalised. Changes nothing but the event."""
        if is_plain(event, self._bounds, receipt.now):
            return []
        if self._rules.normalise is not None:
            normalise(event)
        violations = event_violations(event, self._bounds, receipt.now)
        if not violations and self._rules.clamp_clock_skew is not None:
            clamp_clock_skew(event, receipt.now_ns)
        return violations

    def clean(
        self, event: UserEvent, receipt: Receipt, reversals: list[ReadyEvent]
    ) -> ReadyEvent | Violation:
        """An event that `check` found nothing wrong with as the log takes it, or why it is refused. What it shows to
        be no behaviour is added to `reversals`, to be written behind it."""
        gate, user_id = self._gate, event.user_id
        if gate is not None and not gate.admits_source(receipt.source, receipt.now):
            return gate.violation("source")
        user_key = xxh3_64_intdigest(user_id.encode())
        visitor = self.visitors.of(user_key)
        timed = event.HasField("event_time")
        time_ns = _nanoseconds(event) if timed else receipt.now_ns
        event_id = event.event_id
        if not event_id:
            event_id = event.event_id = self._ids.next().decode()
        if gate is not None and not gate.admits(visitor, event, time_ns, receipt.now):
            self._take_back(gate.caught(visitor), event, receipt, reversals)
            return gate.violation("user")
        added = receipt.given if timed else receipt.defaulted
        if self._sessions is not None:
            added += self._sessions.fill(event, visitor, user_key, time_ns / 1e9)
        if self._defaults is not None:
            added += self._defaults.fill(event)
        if timed and self._dwell is not None and event.event_type != REVERSAL:
            dwell, accident = self._dwell.fill(event, visitor, time_ns)
            added += dwell
            if accident is not None:
                self._take_back([accident], event, receipt, reversals)
        payload = event.SerializeToString() + added
        return ReadyEvent(event_id, user_key % self._partitions, event.event_type, payload)

    def _take_back(
        self, seen: Sequence[SeenEvent], cause: UserEvent, receipt: Receipt, reversals: list[ReadyEvent]
    ) -> None:
        """Add the reversals of events, as of the event that caused them."""
        if not cause.HasField("event_time"):
            cause.event_time.FromNanoseconds(receipt.now_ns)
        reversals += [self._ready(made_reversal(each, cause.event_time), receipt) for each in seen]

    def _ready(self, event: UserEvent, receipt: Receipt) -> ReadyEvent:
        event.ingest_time.FromNanoseconds(receipt.now_ns)
        partition = xxh3_64_intdigest(event.user_id.encode()) % self._partitions
        return ReadyEvent(event.event_id, partition, event.event_type, event.SerializeToString())

    def remember(self, newest: UserEvent, user_key: int) -> None:
        """Take up a user's visit from the newest event that the archive holds of them."""
        if self._sessions is not None:
            visitor = self.visitors.of(user_key)
            self._sessions.fill(newest, visitor, user_key, _nanoseconds(newest) / 1e9)


def _nanoseconds(event: UserEvent) -> int:
    moment = event.event_time
    return moment.seconds * 1_000_000_000 + moment.nanos
