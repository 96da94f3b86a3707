"""Puts the steps together: from an event as it came to an entry for the log, or to the reasons against it.

Cleaning has two halves, with look-ups between them. `draft` needs the event alone: normalise, clamp, validate.
`clean` needs what came before: floods, visits, the events that reversals take back. Nothing waits inside `clean`, so
that events are cleaned in the order in which they enter the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nats.nuid import NUID

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import CHANGED, FILLED, REFUSED, REVERSED, Tally
from services.ingestion.cleaning.clock_skew import clamp_clock_skew
from services.ingestion.cleaning.defaults import Defaults
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.floods import Floods
from services.ingestion.cleaning.normalise import normalise
from services.ingestion.cleaning.plain import forget_users, is_plain
from services.ingestion.cleaning.receipt import Receipt
from services.ingestion.cleaning.reversals import (
    complete_reversal,
    is_reversal,
    original_violations,
    own_reversal,
    take_reversal_id,
)
from services.ingestion.cleaning.visiting import Visiting
from services.ingestion.decoding import clear_what_is_not_the_senders
from services.ingestion.validation import EventTimeBounds, event_violations
from services.ingestion.writing.event_writer import ReadyEvent
from shared.adapters.codecs.event_codec import time_ms
from shared.adapters.codecs.keys import partition_of, user_key
from shared.domain.presets.cleaning_steps import (
    ClampClockSkew,
    CleaningSteps,
    DropAccidentalClicks,
    FillDefaults,
    Normalise,
    RefuseFloods,
)
from shared.domain.violation import Violation

_DEFAULTS_FILLED = (FillDefaults.word, FILLED)


class OwnReversal(NamedTuple):
    """A reversal that cleaning writes, the key of its user, and the id of the event that it takes back."""

    user_key: int
    corrects: str
    event: ReadyEvent


@dataclass
class Batch:
    """What one call brings, and what cleaning adds to it.

    knows: whether an id was written before or is being written. sources: of each event, or empty for none. entries:
    what goes into the log so far, by event id. reversals: what cleaning takes back, to be written behind the entries.
    """

    receipt: Receipt
    knows: Callable[[str], bool]
    sources: Sequence[str] = ()
    entries: dict[str, ReadyEvent] = field(default_factory=dict)
    reversals: list[OwnReversal] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class CleanerSize(NamedTuple):
    """partitions: of the log. users: how many users' visits and buckets are kept at most."""

    partitions: int
    users: int


class Cleaner:
    """The steps of one domain."""

    def __init__(self, steps: CleaningSteps, bounds: EventTimeBounds, size: CleanerSize) -> None:
        self._partitions, users = size
        self._steps = steps
        self._bounds = bounds
        self._ids = NUID()
        needs_visits = steps.fill_session or steps.fill_dwell or steps.drop_accidental_clicks
        self._visiting = Visiting(steps, users) if needs_visits else None
        self._floods = Floods(steps.refuse_floods, users) if steps.refuse_floods else None
        self._defaults = Defaults(steps.fill_defaults) if steps.fill_defaults else None

    @property
    def limits_sources(self) -> bool:
        """Whether it matters where events come from."""
        return self._floods is not None and self._floods.limits_sources

    def draft(self, event: UserEvent, receipt: Receipt, tally: Tally, event_id: str = "") -> Draft:
        """Clean an event by itself, in place, and check it. What is not the sender's is emptied.

        event_id: for an event without one; empty for a new one.
        """
        has_time = event.HasField("event_time")
        draft = Draft(event, has_time)
        if (has_time and not self._time_is_plain(event, receipt)) or not is_plain(draft):
            self._draft_slowly(draft, receipt, tally)
        if not draft.violations:
            self._receive(draft, receipt, has_time, event_id)
        return draft

    def _time_is_plain(self, event: UserEvent, receipt: Receipt) -> bool:
        """Whether the event time is neither refused nor clamped."""
        moment = event.event_time
        return self._bounds.earliest <= moment.seconds < receipt.time.seconds and 0 <= moment.nanos < 10**9

    def _draft_slowly(self, draft: Draft, receipt: Receipt, tally: Tally) -> None:
        event = draft.event
        clear_what_is_not_the_senders(event, redriven=receipt.redriven)
        if self._steps.normalise and normalise(event):
            tally.add(Normalise.word, CHANGED)
        skew = self._bounds.latest_skew
        if self._steps.clamp_clock_skew and clamp_clock_skew(event, receipt, skew):
            draft.told = False
            tally.add(ClampClockSkew.word, CHANGED)
        draft.violations = event_violations(event, self._bounds, receipt.seconds)
        if not draft.violations and is_reversal(event):
            draft.is_reversal = True
            take_reversal_id(event)
        draft.event_id, draft.user_key = event.event_id, user_key(event.user_id)
        draft.session_id, draft.placement = event.session_id, event.placement

    def _receive(self, draft: Draft, receipt: Receipt, has_time: bool, event_id: str) -> None:
        """An id and an event time where the sender gave none; always the ingest time."""
        draft.time_ms = time_ms(draft.event) if has_time else receipt.now_ms
        draft.tail = receipt.tail(not has_time, not draft.event_id)
        if not draft.event_id:
            draft.event_id = draft.event.event_id = event_id or self._ids.next().decode()
            if draft.payload:
                draft.payload += UserEvent(event_id=draft.event_id).SerializeToString()

    def missed_users(self, drafts: Sequence[Draft]) -> list[int]:
        """Keys of users whose newest event must be looked up before `clean`."""
        return self._visiting.missed(drafts) if self._visiting else []

    def restore(self, newest: Mapping[int, bytes]) -> None:
        """The newest events of users, by user key, as they lie in the log."""
        if self._visiting:
            self._visiting.restore(newest)

    def foresee(self, draft: Draft, source: str, now_ms: int) -> Sequence[Violation]:
        """Why `clean` would refuse an event; changes nothing."""
        if draft.is_reversal:
            return original_violations(draft.event, draft.original)
        return self._floods.foreseen(draft, source, now_ms) if self._floods else ()

    def clean(self, drafts: Sequence[Draft], batch: Batch) -> None:
        """Give each draft an entry, violations or a failure, in order."""
        for index, draft in enumerate(drafts):
            if not draft.violations:
                self._clean(draft, batch.sources[index] if batch.sources else "", batch)
        batch.tally.count()

    def _clean(self, draft: Draft, source: str, batch: Batch) -> None:
        event_id = draft.event_id
        known = batch.knows(event_id) or event_id in batch.entries
        if draft.is_reversal:
            if self._complete(draft, known, batch):
                draft.entry = self._entry(draft)
        elif known:
            draft.entry = self._entry(draft)
        elif not self._is_flood(draft, source, batch):
            self._fill(draft, batch)
        if draft.entry is not None:
            batch.entries.setdefault(event_id, draft.entry)

    def _is_flood(self, draft: Draft, source: str, batch: Batch) -> bool:
        """Whether the event is one too many; then what of the flood had counted is taken back. Reversals are no floods:
        there is one for each event at most, and the events of a quarantined user must be reversible."""
        floods = self._floods
        if floods is None:
            return False
        draft.violations = floods.refusal(draft, source, batch.receipt.now_ms)
        if not draft.violations:
            return False
        batch.tally.add(RefuseFloods.word, REFUSED)
        for counted in floods.hand_out(draft.user_key):
            self._take_back(UserEvent.FromString(counted.payload), RefuseFloods.word, draft, batch)
        return True

    def _complete(self, draft: Draft, known: bool, batch: Batch) -> bool:
        """Complete a sender's reversal. Whether it may go on: one that is known may even when its event is gone."""
        event = draft.event
        # Of an event that the log holds, the batch may bring another copy: what counts is what the log says.
        if not draft.asked and (entry := batch.entries.get(event.corrects_event_id)) is not None:
            draft.original, draft.failure = UserEvent.FromString(entry.payload), None
        if known and draft.original is None:
            draft.failure = None
            return True
        if draft.failure is not None:
            return False
        draft.violations = original_violations(event, draft.original)
        if draft.violations or draft.original is None:
            return False
        complete_reversal(event, draft.original)
        return True

    def _fill(self, draft: Draft, batch: Batch) -> None:
        """The steps that append to the event, then its entry."""
        draft.new, visiting, click, visit = True, self._visiting, None, None
        if visiting is not None:
            visit = visiting.enter(draft, batch.tally)
            click = visiting.taken_back(visit, draft) if visit.click is not None else None
        if self._defaults is not None and (tail := self._defaults.tail(draft)):
            draft.tail += tail
            batch.tally.counts[_DEFAULTS_FILLED] += 1
        draft.entry = self._entry(draft)
        if visiting is not None and visit is not None:
            visiting.remember(visit, draft)
        if self._floods is not None and draft.near_flood:
            self._floods.count(draft.user_key, draft.entry)
        if click is not None:
            self._take_back(click, DropAccidentalClicks.word, draft, batch)

    def _take_back(self, original: UserEvent, step: str, cause: Draft, batch: Batch) -> None:
        event = own_reversal(original, step, batch.receipt, cause.event)
        partition = partition_of(cause.user_key, self._partitions)
        ready = ReadyEvent(event.event_id, partition, event.event_type, event.SerializeToString())
        batch.reversals.append(OwnReversal(cause.user_key, original.event_id, ready))
        batch.tally.add(step, REVERSED)

    def _entry(self, draft: Draft) -> ReadyEvent:
        partition, payload = partition_of(draft.user_key, self._partitions), draft.payload
        payload = (payload or draft.event.SerializeToString()) + draft.tail
        return ReadyEvent(draft.event_id, partition, draft.event.event_type, payload, draft.decoded())

    def undo(self, draft: Draft) -> None:
        """An event that was cleaned did not enter the log as a new one."""
        if not draft.new:
            return
        if self._floods is not None:
            self._floods.give_back(draft)
        if self._visiting is not None:
            self._visiting.forget(draft.user_key)

    def forget(self, user_key: int) -> None:
        """Know nothing of a user any more."""
        forget_users()
        if self._floods is not None:
            self._floods.forget(user_key)
        if self._visiting is not None:
            self._visiting.forget(user_key)
