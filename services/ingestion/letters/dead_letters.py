"""The dead letters: refused messages in the stream REJECTED, and the tries to send them again beside them.

A letter's id is its position in the stream. Its tries lie on a subject of their own, so that listing shows them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.ingestion.v1.ingestion_pb2 import (
    WRITE_STATUS_ACCEPTED,
    WRITE_STATUS_DUPLICATE,
    DeadLetter,
    Redrive,
    Violation,
)
from shared.adapters.jetstream.last_messages import StoredMessage, messages_from
from shared.adapters.jetstream.log_writer import Appended, LogUnavailableError, LogWriter, Record
from shared.adapters.jetstream.publish_behind import OvertakenError, publish_behind
from shared.adapters.jetstream.streams import Names, StreamError, api

PAYLOAD_BYTES = 64 * 1024
SCAN_LETTERS = 256
"""Read with one request while listing."""
MAX_SCANNED = 20_000
"""Looked through for one page at most; the page may then be short, and its token leads on."""
MAX_REDRIVES = 1000
PAGE_BYTES = 24 * 1024 * 1024
"""A page ends with the letter that goes beyond, so that an answer is never larger than a message may be."""


class Page(NamedTuple):
    """Letters, the newest first. before: where the next page starts, 0 at the end."""

    letters: list[DeadLetter]
    before: int


class Wanted(NamedTuple):
    """Which letters to list. before: only letters older than this position; 0 for all."""

    size: int
    before: int
    reason: str
    include_redriven: bool


class DeadLetters:
    """Stores and reads dead letters. Its log writer must be running."""

    def __init__(self, connection: Client, log: LogWriter, names: Names) -> None:
        self._connection = connection
        self._log = log
        self._names = names
        self._stream = names.stream("REJECTED")

    async def store(self, letters: Mapping[str, DeadLetter]) -> list[Appended | LogUnavailableError]:
        """Store letters by the id that makes a second try store nothing twice. Raises LogOverloadedError."""
        subject = self._names.dead_letters
        records = [Record(subject, key, letter.SerializeToString()) for key, letter in letters.items()]
        return await self._log.append(records)

    async def note(self, tries: Sequence[tuple[str, Redrive]]) -> list[Appended | LogUnavailableError]:
        """Store what became of letters that were sent again, by letter id. Raises LogOverloadedError."""
        records = [
            Record(self._names.redrive_subject(letter_id), "", redrive.SerializeToString())
            for letter_id, redrive in tries
        ]
        return await self._log.append(records) if records else []

    async def event_id(self, letter_id: str, wanted: str) -> str:
        """The id that the letter's event has for good: the wanted one, unless one was given before. It is on disk then.

        Raises what nats-py raises while NATS is away, StreamError, TimeoutError.
        """
        subject = self._names.redrive_id_subject(letter_id)
        try:
            await publish_behind(self._connection, subject, wanted.encode(), 0)
        except OvertakenError:
            given = await messages_from(self._connection, self._stream, subject, 1, 1)
            return given[0].payload.decode() if given else wanted
        return wanted

    async def read(self, letter_id: str) -> DeadLetter | None:
        """A letter with its tries; None when there is none of that id."""
        if not (letter_id.isascii() and letter_id.isdigit() and len(letter_id) < 20):
            return None
        found = await messages_from(
            self._connection, self._stream, self._names.dead_letters, int(letter_id), 1
        )
        if not found or str(found[0].position) != letter_id:
            return None
        letter = _letter(found[0])
        letter.redrives.extend(await self._redrives(letter_id))
        return letter

    async def page(self, wanted: Wanted) -> Page:
        """One page, the newest first."""
        first, last = await self._range()
        redriven = await self._redriven()
        end = min(wanted.before or last + 1, last + 1)
        least = max(first, end - MAX_SCANNED)
        letters: list[DeadLetter] = []
        size = 0
        async for letter in self._downwards(end, least):
            if await self._fits(letter, wanted, redriven):
                letters.append(letter)
                size += letter.ByteSize()
                if len(letters) == wanted.size or size > PAGE_BYTES:
                    return Page(letters, int(letter.dead_letter_id))
        return Page(letters, least if least > first else 0)

    async def _downwards(self, end: int, least: int) -> AsyncIterator[DeadLetter]:
        """Letters at positions least <= p < end, the newest first."""
        while end > least:
            start = max(least, end - SCAN_LETTERS)
            for letter in reversed(await self._between(start, end)):
                yield letter
            end = start

    async def _fits(self, letter: DeadLetter, wanted: Wanted, redriven: frozenset[str]) -> bool:
        if wanted.reason and all(each.reason != wanted.reason for each in letter.violations):
            return False
        if letter.dead_letter_id in redriven:
            letter.redrives.extend(await self._redrives(letter.dead_letter_id))
        return wanted.include_redriven or success(letter) is None

    async def _between(self, start: int, end: int) -> list[DeadLetter]:
        """Letters at positions start <= p < end, the oldest first."""
        letters: list[DeadLetter] = []
        while start < end:
            found = await messages_from(
                self._connection, self._stream, self._names.dead_letters, start, end - start
            )
            letters += [_letter(message) for message in found if message.position < end]
            if not found:
                break
            start = found[-1].position + 1
        return letters

    async def _redrives(self, letter_id: str) -> list[Redrive]:
        subject = self._names.redrive_subject(letter_id)
        found = await messages_from(self._connection, self._stream, subject, 1, MAX_REDRIVES)
        return [Redrive.FromString(message.payload) for message in found]

    async def _range(self) -> tuple[int, int]:
        """First and last position of the stream."""
        state = (await self._info({}))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    async def _redriven(self) -> frozenset[str]:
        """Ids of the letters that were sent again."""
        answer = await self._info({"subjects_filter": self._names.redrive_subject("*")})
        subjects = answer["state"].get("subjects") or {}
        return frozenset(subject.rpartition(".")[2] for subject in subjects)

    async def _info(self, request: dict[str, object]) -> dict:
        answer = await api(self._connection, f"STREAM.INFO.{self._stream}", request)
        if "error" in answer:
            raise StreamError(f"stream {self._stream}: {answer['error']['description']}")
        return answer


def success(letter: DeadLetter) -> Redrive | None:
    """The try with which the letter's event came into the log; None while there is none."""
    good = (WRITE_STATUS_ACCEPTED, WRITE_STATUS_DUPLICATE)
    return next((each for each in letter.redrives if each.status in good), None)


def _letter(message: StoredMessage) -> DeadLetter:
    try:
        letter = DeadLetter.FromString(message.payload)
    except DecodeError:
        reason = Violation(field="dead_letter", description="cannot be read", reason="UNREADABLE")
        letter = DeadLetter(payload=message.payload[:PAYLOAD_BYTES], truncated=True, violations=[reason])
    letter.dead_letter_id = str(message.position)
    del letter.redrives[:]
    return letter
