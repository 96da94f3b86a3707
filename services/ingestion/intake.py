"""From an event as it came to its outcome: clean, look up, write. Both doors use it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import Tally
from services.ingestion.cleaning.cleaner import Batch, Cleaner, OwnReversal
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.receipt import Receipt
from services.ingestion.past import Past
from services.ingestion.writing.event_writer import EVENTS_WRITTEN, Answer, Archived, EventWriter, Written
from shared.adapters.jetstream.log_writer import LogUnavailableError, RecordRefusedError
from shared.domain.lru import LeastRecentlyUsed
from shared.domain.violation import Violation

OWED_REVERSALS = 10_000
_UNDECIDED = LogUnavailableError("the event was not cleaned")


class Rejected(NamedTuple):
    """An event that may not enter the log, and why."""

    violations: Sequence[Violation]


Outcome = Written | Rejected | LogUnavailableError


@dataclass
class Intake:
    """The way of an event into the log.

    Decision: a reversal that cleaning writes goes in the same write as the event that caused it, behind it, so that the
    log never holds the reversal without what it takes back. One that the log did not acknowledge is owed: it goes along
    with the next write, again and again; its id makes it one fact however often it is sent. None is owed where the log
    did not acknowledge what it takes back either: that is judged anew when its sender sends it again. What a crash can
    lose is therefore what is owed at that moment: reversals of writes that failed just then. A click too many stays
    counted, or the last events of a flood do; the model learns from thousands of others, and a reversal can still be
    sent by hand.
    """

    writer: EventWriter
    cleaner: Cleaner
    past: Past
    _owed: deque[OwnReversal] = field(default_factory=lambda: deque(maxlen=OWED_REVERSALS))
    _unwritten: LeastRecentlyUsed[str, bool] = field(
        default_factory=lambda: LeastRecentlyUsed(OWED_REVERSALS)
    )

    @property
    def limits_sources(self) -> bool:
        """Whether it matters to `take` where events come from."""
        return self.cleaner.limits_sources

    async def check(self, event: UserEvent, source: str = "") -> Sequence[Violation]:
        """What is wrong with the event, as it would be found now; changes nothing. source: of the sender, or empty.

        Raises LogUnavailableError when that cannot be told now.
        """
        copy = UserEvent()
        copy.CopyFrom(event)
        receipt = Receipt(time.time_ns())
        draft = self.cleaner.draft(copy, receipt, Tally())
        if draft.violations:
            return draft.violations
        await self.past.originals([draft])
        if draft.failure is not None:
            raise draft.failure
        return self.cleaner.foresee(draft, source, receipt.now_ms)

    async def take(
        self,
        events: Sequence[UserEvent],
        sources: Sequence[str] = (),
        event_ids: Sequence[str] = (),
        redriven: bool = False,
    ) -> list[Outcome]:
        """Clean, refuse what is wrong, write the rest. One outcome per event, in order; an event's id is afterwards the
        one under which it is kept. sources: of each event, "" for none; empty for none at all. event_ids: for those
        without one, so that whoever sends an event again sends the same; empty for new ones. redriven: whether they are
        tied to dead letters.

        Raises LogOverloadedError: then none was written.
        """
        receipt, tally = Receipt(time.time_ns(), redriven), Tally()
        drafts = [
            self.cleaner.draft(event, receipt, tally, event_id)
            for event, event_id in zip(events, event_ids or [""] * len(events), strict=True)
        ]
        valid = [draft for draft in drafts if not draft.violations]
        try:
            archived = await self._look_up(valid)
        except LogUnavailableError as error:
            return [_outcome(draft, error) for draft in drafts]
        known = self.writer.known([draft.event_id for draft in valid], archived)
        batch = Batch(receipt, known.__contains__, sources, tally=tally)
        self.cleaner.clean(drafts, batch)
        return await self._write(drafts, batch, archived)

    def forget(self, user_key: int) -> None:
        """Keep nothing of a user in memory, nor a reversal that is owed. user_key: `user_key` of the user."""
        self.cleaner.forget(user_key)
        kept = [reversal for reversal in self._owed if reversal.user_key != user_key]
        self._owed = deque(kept, OWED_REVERSALS)

    async def _look_up(self, drafts: Sequence[Draft]) -> Archived:
        """All that cleaning asks others for. The writer comes last: what it answers must not grow old."""
        if not drafts:
            return {}
        await self.past.visits(self.cleaner, drafts)
        if any(draft.is_reversal for draft in drafts):
            ids = [draft.event_id for draft in drafts]
            archived = await self.writer.look_up(ids)
            await self.past.originals(drafts, frozenset(ids) - self.writer.known(ids, archived))
        return await self.writer.look_up([draft.event_id for draft in drafts])

    async def _write(self, drafts: Sequence[Draft], batch: Batch, archived: Archived) -> list[Outcome]:
        entries = [draft.entry for draft in drafts if draft.entry is not None]
        reversals = [*self._owed, *batch.reversals]
        self._owed.clear()
        written: Sequence[Answer] = ()
        try:
            written = await self.writer.append([*entries, *[each.event for each in reversals]], archived)
        finally:
            # Also when the call is broken off: what is not known to be written counts as not written.
            self._settle(drafts, reversals, written)
        answers = iter(written)
        return [
            _told(next(answers)) if draft.entry is not None else _outcome(draft, _UNDECIDED)
            for draft in drafts
        ]

    def _settle(
        self,
        drafts: Sequence[Draft],
        reversals: Sequence[OwnReversal],
        written: Sequence[Answer],
    ) -> None:
        made = [draft for draft in drafts if draft.entry is not None]
        # A write that was broken off has no answers: then nothing counts as written.
        answers: Sequence[object] = written or [None] * (len(made) + len(reversals))
        for draft, answer in zip(made, answers, strict=False):
            if type(answer) is not Written or answer.duplicate:
                self.cleaner.undo(draft)
            if self._unwritten or type(answer) is not Written:
                self._note(draft, answer)
        pairs = zip(reversals, answers[len(made) :], strict=True)
        lost = [each for each, answer in pairs if not isinstance(answer, Written)]
        self._owed.extend(each for each in lost if each.corrects not in self._unwritten)

    def _note(self, draft: Draft, answer: object) -> None:
        """Whether the event of a draft is in the log. One that is known is, whatever the answer."""
        if type(answer) is Written:
            self._unwritten.drop(draft.event_id)
        elif draft.new:
            self._unwritten.put(draft.event_id, True)


def _told(answer: Answer) -> Outcome:
    """What becomes of an event that was to be written. One that never fits into the log, as the notes of cleaning made
    it too large, is refused: were it only not written now, its sender, or the NATS door, would send it for ever."""
    if isinstance(answer, RecordRefusedError):
        return Rejected([Violation("payload", str(answer), "OUT_OF_RANGE")])
    return answer


def _outcome(draft: Draft, otherwise: LogUnavailableError) -> Outcome:
    """The outcome of an event that is not written. otherwise: why not, if nothing is wrong with it."""
    if draft.violations:
        EVENTS_WRITTEN.labels("rejected").inc()
        return Rejected(draft.violations)
    return draft.failure or otherwise
