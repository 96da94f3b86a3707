"""Takes versions of named things, items and users, into the log: the newest on a thing's subject is what counts.

What counts now is asked of the log itself, so that an answer never rests on a copy that lags behind the last write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client

from shared.adapters.codecs.keys import same_id
from shared.adapters.jetstream.last_messages import StoredMessage, last_messages
from shared.adapters.jetstream.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.jetstream.streams import Names, StreamError
from shared.domain.violation import Violation


class Refused(NamedTuple):
    """A thing that may not enter the log, and why."""

    violations: list[Violation]


VersionOutcome = Appended | Refused | LogUnavailableError
Judge = Callable[[StoredMessage | None], Appended | Refused | None]


class Draft(NamedTuple):
    """A version to write. judge: told what counts now, its outcome when nothing is to be written, else None."""

    subject: str
    payload: bytes
    judge: Judge


class VersionWriter:
    """Writes versions of things. Safe for many callers at once."""

    def __init__(self, connection: Client, log: LogWriter, names: Names) -> None:
        self._connection = connection
        self._log = log
        self._stream = names.events

    async def write(self, drafts: Sequence[Draft | Refused]) -> list[VersionOutcome]:
        """One outcome per draft, in order. Raises LogOverloadedError: then none was written."""
        subjects = [draft.subject for draft in drafts if isinstance(draft, Draft)]
        try:
            newest = await last_messages(self._connection, self._stream, subjects)
        except (nats.errors.Error, StreamError, TimeoutError, OSError) as error:
            away = LogUnavailableError(f"the log cannot be read: {error or type(error).__name__}")
            return [draft if isinstance(draft, Refused) else away for draft in drafts]
        decided = [self._decide(place, draft, newest) for place, draft in enumerate(drafts)]
        records = [each for each in decided if isinstance(each, Record)]
        appended = iter(await self._log.append(records) if records else ())
        answers = [next(appended) if isinstance(each, Record) else each for each in decided]
        return [_shared(answer, answers) for answer in answers]

    def _decide(
        self, place: int, draft: Draft | Refused, newest: dict[str, StoredMessage]
    ) -> Record | Appended | Refused:
        """What becomes of the draft at a place of the call. What is to be written is told to later drafts as lying at
        position -place - 1."""
        if isinstance(draft, Refused):
            return draft
        outcome = draft.judge(newest.get(draft.subject))
        if outcome is not None:
            return outcome
        newest[draft.subject] = StoredMessage(-place - 1, draft.subject, draft.payload)
        return Record(draft.subject, "", draft.payload)


def _shared(answer: VersionOutcome, answers: Sequence[VersionOutcome]) -> VersionOutcome:
    """A version that the same call holds twice is in the log if the first of them is."""
    if not isinstance(answer, Appended) or answer.position >= 0:
        return answer
    first = answers[-answer.position - 1]
    return Appended(first.position, duplicate=True) if isinstance(first, Appended) else first


def unless_same(payload: bytes, collision: Callable[[bytes], list[Violation]]) -> Judge:
    """Writes `payload` unless just that counts already. collision: what is wrong when another thing lies there."""

    def judge(held: StoredMessage | None) -> Appended | Refused | None:
        if held is None:
            return None
        if held.payload == payload:
            return Appended(held.position, duplicate=True)
        violations = collision(held.payload)
        return Refused(violations) if violations else None

    return judge


def collision(field: str, own: str, other: str) -> list[Violation]:
    """The violation of an id whose key belongs to another id; none when they are the same, spelt otherwise or not."""
    if same_id(own, other):
        return []
    return [Violation(field, f"has the same key as {other!r}; choose another id", "KEY_COLLISION")]
