"""From an event as it came to its outcome: clean, look up, write. Both doors use it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import Tally
from services.ingestion.cleaning.cleaner import Batch, Cleaner
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.originals import Originals
from services.ingestion.cleaning.receipt import Receipt
from services.ingestion.event_writer import EVENTS_WRITTEN, Entry, EventWriter, Written
from shared.adapters.archive import Archive
from shared.adapters.log_writer import LogUnavailableError
from shared.domain.violation import Violation

OWED_REVERSALS = 10_000


class Rejected(NamedTuple):
    """An event that may not enter the log, and why."""

    violations: Sequence[Violation]


Outcome = Written | Rejected | LogUnavailableError


@dataclass
class Intake:
    """The way of an event into the log.

    Decision: a reversal that cleaning writes goes in the same write as the event that caused it, behind it, so that the
    log never holds the reversal without what it takes back. One that the log did not acknowledge is owed: it goes along
    with the next write, again and again; its id makes it one fact however often it is sent. What a crash can lose is
    therefore what is owed at that moment: reversals of writes that failed just then. A click too many stays counted, or
    the last events of a flood do; the model learns from thousands of others, and a reversal can still be sent by hand.
    """

    writer: EventWriter
    archive: Archive
    cleaner: Cleaner
    originals: Originals
    _owed: deque[Entry] = field(default_factory=lambda: deque(maxlen=OWED_REVERSALS))

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
        await self._look_up_originals([draft])
        if draft.failure is not None:
            raise draft.failure
        return self.cleaner.foresee(draft, source, receipt.now_ms)

    async def take(self, events: Sequence[UserEvent], sources: Sequence[str] = ()) -> list[Outcome]:
        """Clean, refuse what is wrong, write the rest. One outcome per event, in order; an event's id is afterwards the
        one under which it is kept. sources: of each event, "" for none; empty for none at all.

        Raises LogOverloadedError: then none was written.
        """
        batch = Batch(Receipt(time.time_ns()), self.writer.knows, sources)
        drafts = [self.cleaner.draft(event, batch.receipt, batch.tally) for event in events]
        if valid := [draft for draft in drafts if not draft.violations]:
            await self._look_up(valid)
        self.cleaner.clean(drafts, batch)
        return await self._write(drafts, batch)

    def forget(self, user_key: int) -> None:
        """Keep nothing of a user in memory, nor a reversal that is owed. user_key: `user_key` of the user."""
        self.cleaner.forget(user_key)
        kept = [entry for entry in self._owed if entry.user_key != user_key]
        self._owed = deque(kept, OWED_REVERSALS)

    async def _look_up(self, drafts: Sequence[Draft]) -> None:
        """All that cleaning asks others for: ids seen before, newest events of users, events that are taken back."""
        ids = self.writer.recall([draft.event_id for draft in drafts])
        if missed := self.cleaner.missed_users(drafts):
            await asyncio.gather(ids, self._look_up_visits(missed))
        else:
            await ids
        await self._look_up_originals(drafts)

    async def _look_up_visits(self, missed: Sequence[int]) -> None:
        """Visits of users by their keys. While PostgreSQL is away, users who are not remembered begin a visit."""
        newest = await self.writer.questions.ask(lambda: self.archive.newest_payloads(missed))
        self.cleaner.restore(newest or {})

    async def _look_up_originals(self, drafts: Sequence[Draft]) -> None:
        """The originals of reversals, except of those that come with this very batch."""
        reversals = [draft for draft in drafts if draft.is_reversal]
        if not reversals:
            return
        coming = {draft.event_id for draft in drafts if not self.writer.knows(draft.event_id)}
        wanted = {draft.event.corrects_event_id for draft in reversals} - coming
        found = await self.originals.find(sorted(wanted))
        for draft in reversals:
            answer = found.get(draft.event.corrects_event_id)
            if isinstance(answer, LogUnavailableError):
                draft.failure = answer
            else:
                draft.original = answer

    async def _write(self, drafts: Sequence[Draft], batch: Batch) -> list[Outcome]:
        entries = [draft.entry for draft in drafts if draft.entry is not None]
        reversals = [*self._owed, *batch.reversals]
        self._owed.clear()
        written: Sequence[Written | LogUnavailableError] = ()
        try:
            written = await self.writer.append([*entries, *reversals])
        finally:
            # Also when the call is broken off: what is not known to be written counts as not written.
            self._settle(drafts, reversals, written)
        answers = iter(written)
        return [_outcome(draft) or next(answers) for draft in drafts]

    def _settle(
        self,
        drafts: Sequence[Draft],
        reversals: Sequence[Entry],
        written: Sequence[Written | LogUnavailableError],
    ) -> None:
        made = [draft for draft in drafts if draft.entry is not None]
        # A write that was broken off has no answers: then nothing counts as written.
        answers: Sequence[object] = written or [None] * (len(made) + len(reversals))
        for draft, answer in zip(made, answers, strict=False):
            if not isinstance(answer, Written) or answer.duplicate:
                self.cleaner.undo(draft)
        pairs = zip(reversals, answers[len(made) :], strict=True)
        self._owed.extend(entry for entry, answer in pairs if not isinstance(answer, Written))


def _outcome(draft: Draft) -> Outcome | None:
    """The outcome of an event that is not written; None for one that is."""
    if draft.violations:
        EVENTS_WRITTEN.labels("rejected").inc()
        return Rejected(draft.violations)
    return draft.failure
