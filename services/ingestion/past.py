"""What cleaning asks others for about the past: newest events of users, events that are taken back."""

from __future__ import annotations

from collections.abc import Sequence

from services.ingestion.archive.archive_questions import ArchiveQuestions
from services.ingestion.cleaning.cleaner import Cleaner
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.originals import Originals
from shared.adapters.jetstream.erasures import Erasures
from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.adapters.postgres.archive import Archive

FIRST_QUESTION_SECONDS = 3.0
_NOBODY = 0
"""The key of a user who need not be there: what is asked matters, not what is answered."""


class Past:
    """Looks up for whole batches."""

    def __init__(self, archive: Archive, originals: Originals, erasures: Erasures) -> None:
        self._archive = archive
        self._originals = originals
        self._erasures = erasures
        self._questions = ArchiveQuestions()

    async def ready(self) -> None:
        """Ask once before a caller waits for an answer: the first question connects and prepares the query, and on a
        busy machine that takes longer than a caller may wait. PostgreSQL may be away."""
        await self._questions.ask(lambda: self._archive.newest_payloads([_NOBODY]), FIRST_QUESTION_SECONDS)

    async def visits(self, cleaner: Cleaner, drafts: Sequence[Draft]) -> None:
        """Let the cleaner know the newest events of users it does not remember, all in one query. While PostgreSQL is
        away, such users begin a visit; so do those whose newest event is erased, also while its erasure is under way:
        what a visit takes from it would outlast it."""
        if missed := cleaner.missed_users(drafts):
            newest = await self._questions.ask(lambda: self._archive.newest_payloads(missed)) or {}
            covers = self._erasures.covers
            cleaner.restore({key: each for key, (at, each) in newest.items() if not covers(key, at)})

    async def originals(self, drafts: Sequence[Draft], coming: frozenset[str] = frozenset()) -> None:
        """Give reversals their originals, or the failure that keeps them from being told. coming: ids of originals
        that come with this very batch."""
        reversals = [draft for draft in drafts if draft.is_reversal]
        if not reversals:
            return
        wanted = {draft.event.corrects_event_id for draft in reversals} - coming
        found = await self._originals.find(sorted(wanted))
        for draft in reversals:
            draft.asked = draft.event.corrects_event_id in wanted
            answer = found.get(draft.event.corrects_event_id)
            if isinstance(answer, LogUnavailableError):
                draft.failure = answer
            else:
                draft.original = answer
