"""Puts one group of records into a stream over a wire: a few one by one, many as one atomic batch.

Decision: a batch of 500 takes the server 6 ms and one of 1,000 takes 10 ms, of which 2 ms are the price of any batch;
8 records one by one take 1.4 ms. A batch that holds an id the stream has seen is refused whole, and the refusal does
not say which id. Then every record is sent as a probe, with a header that the server refuses, but only after it has
looked the id up: a duplicate answers with its first position, and nothing is written, so 500 probes cost 6 to 9 ms and
no disk sync. What is new goes as a batch again, in order.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from shared.adapters.jetstream.nats_frames import Message, publication
from shared.adapters.jetstream.nats_wire import NoRespondersError, Wire

BATCH_RECORDS = 1000
"""Records of one atomic batch at most; the server allows no more."""
SINGLE_RECORDS = 8
"""Up to this many records are sent one by one, which is quicker than a batch."""
ACK_TIMEOUT_SECONDS = 5.0
_AT_ONCE = 256
"""Records sent one by one that wait for their answers together."""
_BATCH_HOLDS_DUPLICATE = 10201
_ROLLUP_NOT_PERMITTED = 10111
_PROBE = "Nats-Rollup: probe\r\n"
"""Not a rollup that exists, and our streams permit none. Other headers that fail a message are no replacement:
nats-server 2.15.1 looks at them before the id, or (`Nats-Expected-Last-Msg-Id`) stops a replicated stream."""
_PROBE_ROUNDS = 3

_batch_prefix = secrets.token_hex(4)
_batch_numbers = itertools.count(1)


class LogUnavailableError(RuntimeError):
    """The stream did not acknowledge in time. Whether it holds the records is not known; send them again."""


class NobodyListensError(LogUnavailableError):
    """No stream took any of the records, so none is stored: its leader is away, or there is no such stream."""


class Record(NamedTuple):
    """One message to append. message_id: `Nats-Msg-Id`, empty for none. decoded: what the payload says, for those who
    are told what was appended; the log does not hold it."""

    subject: str
    message_id: str
    payload: bytes
    decoded: Any = None


class Appended(NamedTuple):
    """Where a record lies. duplicate: it was there before, at this position."""

    position: int
    duplicate: bool


Answer = Appended | LogUnavailableError


async def append_group(wire: Wire, records: Sequence[Record]) -> Sequence[Answer]:
    """Append in order; one answer per record.

    Raises NobodyListensError, and then none is stored; LogUnavailableError, and then nothing is known of any.
    """
    if len(records) > SINGLE_RECORDS:
        return await _append_batch(wire, records, _PROBE_ROUNDS)
    answers = await _append_singles(wire, records)
    if all(isinstance(answer, NobodyListensError) for answer in answers):
        raise NobodyListensError("no stream listens; its leader may be away")
    return answers


async def _append_batch(wire: Wire, records: Sequence[Record], rounds: int) -> Sequence[Answer]:
    reply, answer = wire.expect()
    await _write(wire, _batch_frames(records, reply))
    acknowledged = _read((await _wait_for([answer]))[0])
    if acknowledged.get("count") == len(records):
        last = acknowledged["seq"]
        return [Appended(position, False) for position in range(last - len(records) + 1, last + 1)]
    if _error_code(acknowledged) == _BATCH_HOLDS_DUPLICATE:
        return await _append_new_ones(wire, records, rounds)
    raise _unavailable(acknowledged)


def _batch_frames(records: Sequence[Record], reply: str) -> bytes:
    batch_id = f"{_batch_prefix}{next(_batch_numbers):x}"
    frames, head = [], f"Nats-Batch-Id:{batch_id}\r\nNats-Batch-Sequence:"
    for sequence, (subject, message_id, payload, _) in enumerate(records[:-1], 1):
        frames.append(publication(subject, "", f"{head}{sequence}\r\n{_id_header(message_id)}", payload))
    subject, message_id, payload, _ = records[-1]
    head = f"{head}{len(records)}\r\nNats-Batch-Commit:1\r\n{_id_header(message_id)}"
    frames.append(publication(subject, reply, head, payload))
    return b"".join(frames)


def _id_header(message_id: str) -> str:
    return f"Nats-Msg-Id:{message_id}\r\n" if message_id else ""


async def _append_new_ones(wire: Wire, records: Sequence[Record], rounds: int) -> Sequence[Answer]:
    """Append what the stream does not hold of records that it has refused together."""
    first = _first_of_each_id(records)
    answers = await _probe(wire, records, [index for index, at in enumerate(first) if index == at])
    new = [index for index, at in enumerate(first) if index == at and index not in answers]
    left = [records[index] for index in new]
    appending = _append_batch(wire, left, rounds - 1) if rounds > 0 and new else _append_singles(wire, left)
    answers |= zip(new, await appending, strict=True)
    return [answers[at] if index == at else _repeated(answers[at]) for index, at in enumerate(first)]


def _first_of_each_id(records: Sequence[Record]) -> list[int]:
    """For each record, where its id comes first; itself when it has none."""
    seen: dict[str, int] = {}
    return [
        seen.setdefault(record.message_id, index) if record.message_id else index
        for index, record in enumerate(records)
    ]


def _repeated(answer: Answer) -> Answer:
    return Appended(answer.position, True) if isinstance(answer, Appended) else answer


async def _probe(wire: Wire, records: Sequence[Record], wanted: Sequence[int]) -> dict[int, Answer]:
    """Of the records at `wanted`, where those lie that the stream holds."""
    found: dict[int, Answer] = {}
    indices = [index for index in wanted if records[index].message_id]
    for start in range(0, len(indices), _AT_ONCE):
        some = indices[start : start + _AT_ONCE]
        for index, answer in zip(
            some, await _send_each(wire, [records[at] for at in some], _PROBE), strict=True
        ):
            acknowledged = _read(answer)
            if _error_code(acknowledged) != _ROLLUP_NOT_PERMITTED:
                # Should a server take the probe after all, it has the whole record, in its place.
                found[index] = _appended(acknowledged)
    return found


async def _append_singles(wire: Wire, records: Sequence[Record]) -> list[Answer]:
    """One by one, each with an outcome of its own."""
    answers: list[Answer] = []
    for start in range(0, len(records), _AT_ONCE):
        answers += map(_outcome, await _send_each(wire, records[start : start + _AT_ONCE]))
    return answers


async def _send_each(wire: Wire, records: Sequence[Record], header: str = "") -> list[Message | Exception]:
    expected = [wire.expect() for _ in records]
    frames = [
        publication(record.subject, reply, header + _id_header(record.message_id), record.payload)
        for record, (reply, _) in zip(records, expected, strict=True)
    ]
    await _write(wire, b"".join(frames))
    return await _wait_for([answer for _, answer in expected])


async def _write(wire: Wire, frames: bytes) -> None:
    """Write once the server has taken what went before: of groups that it lets lie, no two wait in memory."""
    try:
        async with asyncio.timeout(ACK_TIMEOUT_SECONDS):
            await wire.drain()
    except (TimeoutError, OSError) as error:
        raise LogUnavailableError(f"the log takes nothing: {error or 'timed out'}") from error
    wire.write(frames)


async def _wait_for(answers: Sequence[asyncio.Future[Message]]) -> list[Message | Exception]:
    """What came, or why nothing did."""
    _, late = await asyncio.wait(answers, timeout=ACK_TIMEOUT_SECONDS)
    for each in late:
        each.cancel()
    silence = TimeoutError(f"nothing heard for {ACK_TIMEOUT_SECONDS:.0f} s")
    return [silence if each in late else each.exception() or each.result() for each in answers]  # type: ignore[misc]


def _outcome(answer: Message | Exception) -> Answer:
    try:
        return _appended(_read(answer))
    except LogUnavailableError as error:
        return error


def _appended(acknowledged: dict) -> Appended:
    if "error" in acknowledged or not acknowledged.get("seq"):
        raise _unavailable(acknowledged)
    return Appended(acknowledged["seq"], acknowledged.get("duplicate", False))


def _read(answer: Message | Exception) -> dict:
    """The acknowledgement, which may hold an "error". Raises LogUnavailableError when there is none."""
    if isinstance(answer, NoRespondersError):
        raise NobodyListensError("no stream listens; its leader may be away")
    if isinstance(answer, Exception):
        raise LogUnavailableError(f"the log did not acknowledge: {answer}") from answer
    try:
        acknowledged = orjson.loads(answer.payload)
    except ValueError:
        acknowledged = None
    if not isinstance(acknowledged, dict):
        raise LogUnavailableError(f"the log answered {answer.payload[:200]!r}")
    return acknowledged


def _error_code(acknowledged: dict) -> int:
    return acknowledged.get("error", {}).get("err_code", 0)


def _unavailable(acknowledged: dict) -> LogUnavailableError:
    reason = acknowledged.get("error", {}).get("description", f"an answer that does not fit: {acknowledged}")
    return LogUnavailableError(f"the log did not acknowledge: {reason}")
