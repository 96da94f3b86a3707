"""Looks through a stretch of a stream once, to its end, and deletes messages so that their bytes are gone.

Decision: batched direct reads, not a consumer. A consumer has no end: it cannot tell a stretch that ends with deleted
messages from one whose last message is still on its way. Here the stream's leader says before each batch where the next
message lies, and the replica that reads the batch may be any: one that lags is asked again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.adapters.jetstream.streams import StreamError, api

_BATCH_MESSAGES = 1_000
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_SECONDS = 10.0
_LAG_SECONDS = 0.05
_DELETES_AT_ONCE = 32
_NO_MESSAGE = 10037
_SEQUENCE = "Nats-Sequence"
_BATCH_ENDS = ("204", "404")
"""Statuses that end a batch: there were so many, or there were none."""


class StoredMessage(NamedTuple):
    """One message of a stream as it is stored. sequence: its place in the stream."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """The messages of `stream` on `subject`, which may hold wildcards, from `first` to `last`, both included."""

    stream: str
    subject: str
    last: int
    first: int = 1


async def last_sequence(connection: Client, stream: str) -> int:
    """The last sequence of a stream, of a deleted message too; 0 when it never held one. Raises StreamError."""
    answer = await api(connection, f"STREAM.INFO.{stream}")
    if "error" in answer:
        raise StreamError(f"stream {stream}: {answer['error']['description']}")
    return int(answer["state"]["last_seq"])


async def scan(connection: Client, stretch: Stretch) -> AsyncIterator[list[StoredMessage]]:
    """All messages of a stretch in order, in batches; it ends. Raises StreamError, and what nats-py raises while
    NATS is away."""
    while (sequence := await _next_sequence(connection, stretch)) is not None:
        batch = await _read_batch(connection, replace(stretch, first=sequence))
        if not batch:
            await asyncio.sleep(_LAG_SECONDS)  # the replica that answered does not hold it yet
            continue
        yield [message for message in batch if message.sequence <= stretch.last]
        stretch = replace(stretch, first=batch[-1].sequence + 1)


async def _next_sequence(connection: Client, stretch: Stretch) -> int | None:
    """Where the stretch's first message lies, by the word of the stream's leader; None when there is none."""
    if stretch.first > stretch.last:
        return None
    request: dict[str, object] = {"seq": stretch.first, "next_by_subj": stretch.subject}
    answer = await api(connection, f"STREAM.MSG.GET.{stretch.stream}", request)
    if "error" not in answer:
        sequence = int(answer["message"]["seq"])
        return sequence if sequence <= stretch.last else None
    if answer["error"].get("err_code") == _NO_MESSAGE:
        return None
    raise StreamError(f"stream {stretch.stream}: {answer['error']['description']}")


async def _read_batch(connection: Client, stretch: Stretch) -> list[StoredMessage]:
    """Messages from the stretch's first on without a gap: as many as came of one batch."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(
        inbox, cb=arrived.put, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    request = {"seq": stretch.first, "next_by_subj": stretch.subject}
    request |= {"batch": _BATCH_MESSAGES, "max_bytes": _BATCH_BYTES}
    try:
        await connection.publish(
            f"$JS.API.DIRECT.GET.{stretch.stream}", json.dumps(request).encode(), reply=inbox
        )
        return await _gather(arrived)
    finally:
        await subscription.unsubscribe()


async def _gather(arrived: asyncio.Queue[Msg]) -> list[StoredMessage]:
    gathered: list[StoredMessage] = []
    async with asyncio.timeout(_BATCH_SECONDS):
        while _SEQUENCE in (headers := (message := await arrived.get()).headers or {}):
            before = gathered[-1].sequence if gathered else 0
            if int(headers.get("Nats-Last-Sequence", before)) != before:
                return gathered  # one was lost on the way; the next batch begins with it
            sequence, subject = int(headers[_SEQUENCE]), headers["Nats-Subject"]
            gathered.append(StoredMessage(sequence, subject, headers, message.data))
    if headers.get("Status") not in _BATCH_ENDS:
        raise StreamError(f"batched read refused: {headers.get('Status')} {headers.get('Description', '')}")
    return gathered


async def overwrite(connection: Client, stream: str, sequences: Iterable[int]) -> None:
    """Delete messages and overwrite their bytes on disk. One that is gone already is fine. Raises StreamError."""
    waiting = list(sequences)
    for start in range(0, len(waiting), _DELETES_AT_ONCE):
        some = waiting[start : start + _DELETES_AT_ONCE]
        await asyncio.gather(*[_overwrite_one(connection, stream, sequence) for sequence in some])


async def _overwrite_one(connection: Client, stream: str, sequence: int) -> None:
    answer = await api(connection, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": False})
    if "error" not in answer:
        return
    # A message that is gone is refused in several ways, by where it lay; the stream itself tells whether it is there.
    there = await api(connection, f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    if there.get("error", {}).get("err_code") != _NO_MESSAGE:
        raise StreamError(f"stream {stream}, message {sequence}: {answer['error']['description']}")
