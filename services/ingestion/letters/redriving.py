"""Sends dead letters again. A letter takes effect at most once, however often it is sent.

Decision: its event has one id for good, that of the first try that nothing was wrong with, kept beside the letter
before the event is sent. So of two tries at once, or of one before a crash and one behind it, whatever ids their
corrections have, the second one is a duplicate like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_DUPLICATE,
    WRITE_STATUS_UNAVAILABLE,
    DeadLetter,
    DeadLetterRedrive,
    Redrive,
    WriteOutcome,
)
from services.ingestion.answers import outcome_message
from services.ingestion.decoding import (
    MalformedEventError,
    decode_user_event,
)
from services.ingestion.intake import Intake, Rejected
from services.ingestion.letters.dead_letters import DeadLetters, success
from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.domain.violation import Violation

_READS_AT_ONCE = 16


class _Try(NamedTuple):
    """One letter of a call. known: the letter is there. event: to send, or the outcome when nothing is to be sent."""

    letter_id: str
    known: bool
    event: UserEvent | WriteOutcome


class Redriving:
    """Takes letters back to the intake."""

    def __init__(self, intake: Intake, letters: DeadLetters) -> None:
        self._intake = intake
        self._letters = letters
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)

    async def redrive(self, wishes: Sequence[DeadLetterRedrive]) -> list[WriteOutcome]:
        """One outcome per letter, in order; each try is noted beside its letter before it is answered.

        Raises LogOverloadedError, StreamError, TimeoutError, or what nats-py raises while NATS is away: a letter
        that was taken all the same answers DUPLICATE when it is sent again.
        """
        tries = await asyncio.gather(*[self._prepare(wish) for wish in wishes])
        events = [each.event for each in tries if isinstance(each.event, UserEvent)]
        taken = iter(await self._intake.take(events, redriven=True) if events else ())
        outcomes = [
            outcome_message(each.event.event_id, next(taken))
            if isinstance(each.event, UserEvent)
            else each.event
            for each in tries
        ]
        return await self._noted(tries, outcomes)

    async def _prepare(self, wish: DeadLetterRedrive) -> _Try:
        async with self._reading:
            letter = await self._letters.read(wish.dead_letter_id)
        if letter is None:
            return _Try(wish.dead_letter_id, False, _rejected("names no dead letter", "NOT_FOUND"))
        if (done := success(letter)) is not None:
            earlier = WriteOutcome(id=done.event_id, status=WRITE_STATUS_DUPLICATE)
            return _Try(wish.dead_letter_id, False, earlier)
        return _Try(wish.dead_letter_id, True, await self._named(_event(letter, wish)))

    async def _named(self, event: UserEvent | WriteOutcome) -> UserEvent | WriteOutcome:
        """The event under its letter's id for good, or why it is not sent."""
        if isinstance(event, WriteOutcome):
            return event
        try:
            violations = await self._intake.check(event)
        except LogUnavailableError as error:
            return outcome_message(event.event_id, error)
        if violations:
            return outcome_message(event.event_id, Rejected(violations))
        event.event_id = await self._letters.event_id(event.dead_letter_id, event.event_id)
        return event

    async def _noted(self, tries: Sequence[_Try], outcomes: list[WriteOutcome]) -> list[WriteOutcome]:
        """The outcomes; UNAVAILABLE for a try that could not be noted: to be sent again."""
        places = [
            place
            for place, (each, outcome) in enumerate(zip(tries, outcomes, strict=True))
            if each.known and outcome.status != WRITE_STATUS_UNAVAILABLE
        ]
        notes = [(tries[place].letter_id, _redrive(outcomes[place])) for place in places]
        for place, answer in zip(places, await self._letters.note(notes), strict=True):
            if isinstance(answer, LogUnavailableError):
                outcomes[place] = WriteOutcome(id=outcomes[place].id, status=WRITE_STATUS_UNAVAILABLE)
        return outcomes


def _event(letter: DeadLetter, wish: DeadLetterRedrive) -> UserEvent | WriteOutcome:
    """The event to send, tied to its letter, or why there is none."""
    if wish.HasField("corrected_event"):
        event = wish.corrected_event
    elif letter.truncated:
        return _rejected("its message was cut off; send a corrected_event", "TRUNCATED")
    else:
        try:
            event = decode_user_event(letter.payload, letter.headers)
        except MalformedEventError as error:
            return outcome_message("", Rejected([error.violation]))
    event.event_id = event.event_id or f"redrive-{letter.dead_letter_id}"
    event.dead_letter_id = letter.dead_letter_id
    return event


def _rejected(description: str, reason: str) -> WriteOutcome:
    return outcome_message("", Rejected([Violation("dead_letter_id", description, reason)]))


def _redrive(outcome: WriteOutcome) -> Redrive:
    redrive = Redrive(event_id=outcome.id, status=outcome.status, violations=outcome.violations)
    redrive.redrive_time.GetCurrentTime()
    return redrive
