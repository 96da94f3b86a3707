"""Appends to a JetStream stream in groups, so that the price of a disk sync is shared by all who wait for one.

Decision: `sync_interval: always` makes every write wait for the disk. One worker sends what has gathered since the
last write, as one group over a wire of its own. One group is in flight at a time: its fate is known before the next
one is sent, so nothing overtakes a group that fails or is partly refused, and the log keeps the order of the calls.
Sending the next group ahead and holding its commit back until then was measured to gain nothing: the server, not
the way to it, is what a group waits for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from nats.aio.client import Client

from shared.adapters.jetstream.log_append import (
    BATCH_RECORDS,
    Answer,
    Appended,
    LogUnavailableError,
    NobodyListensError,
    Record,
    append_group,
)
from shared.adapters.jetstream.nats_servers import open_wire
from shared.adapters.jetstream.nats_wire import Wire, WireLostError

__all__ = [
    "BATCH_RECORDS",
    "Appended",
    "LogOverloadedError",
    "LogUnavailableError",
    "LogWriter",
    "Record",
    "RecordRefusedError",
]
GROUP_BYTES = 4 * 1024 * 1024
"""A group that has this much payload takes no further record."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Payload that may wait: twice the largest request. Records are counted, too, since small ones cost more than that."""
CONNECT_SECONDS = 5.0
LEADER_SECONDS = 10.0
"""An election takes a server at most 9 s to call."""
PAUSE_SECONDS = 0.1
"""Between two tries to connect, or to reach the leader."""
HEADER_BYTES = 1024
"""Room for headers within the server's largest message."""


class LogOverloadedError(RuntimeError):
    """Too many records wait already; nothing was sent."""


class RecordRefusedError(LogUnavailableError):
    """The record was not sent and never will be: its subject or id holds what may not be there, or it is too large."""


@dataclass(slots=True, eq=False)
class _Call:
    """One call of `append`. taken: how many of its records are in groups already."""

    records: Sequence[Record]
    done: asyncio.Future[list[Answer]]
    taken: int = 0
    answers: list[Answer] = field(default_factory=list)

    def settle(self, answers: Iterable[Answer]) -> None:
        self.answers += answers
        if len(self.answers) == len(self.records) and not self.done.done():
            self.done.set_result(self.answers)


@dataclass(slots=True)
class _Group:
    """Records that are sent together, and how many of them belong to which call, in order."""

    records: list[Record] = field(default_factory=list)
    shares: list[tuple[_Call, int]] = field(default_factory=list)

    def settle(self, answers: Sequence[Answer]) -> None:
        at = 0
        for call, number in self.shares:
            call.settle(answers[at : at + number])
            at += number

    def fail(self, reason: str) -> None:
        self.settle([LogUnavailableError(reason)] * len(self.records))


Notice = Callable[[Sequence[Record], Sequence[Answer]], object]


class LogWriter:
    """Appends records to streams. `run` must be running; `append` may be called from many tasks. notice: told of each
    group, in the log's order, before those who wait for it."""

    def __init__(self, connection: Client, notice: Notice | None = None, max_waiting: int = 50_000) -> None:
        self._connection = connection
        self._notice = notice
        self._max_waiting = max_waiting
        self._waiting: deque[_Call] = deque()
        self._waiting_records = self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._wire: Wire | None = None
        self._sending = False

    @property
    def busy(self) -> bool:
        """Whether records wait, or were sent and are not acknowledged yet."""
        return self._sending or bool(self._waiting)

    async def append(self, records: Sequence[Record]) -> list[Answer]:
        """Append in order; one answer per record once the stream has acknowledged it. Raises LogOverloadedError."""
        self._check_room(records)
        largest = self._connection.max_payload - HEADER_BYTES
        refused = {at: error for at, each in enumerate(records) if (error := _refusal(each, largest))}
        if not refused:
            return await self._append(records)
        sent = iter(await self._append([each for at, each in enumerate(records) if at not in refused]))
        return [refused[at] if at in refused else next(sent) for at in range(len(records))]

    def _check_room(self, records: Sequence[Record]) -> None:
        if self._waiting_records + len(records) > self._max_waiting:
            raise LogOverloadedError(f"{self._waiting_records} records wait for the log")
        if self._waiting_bytes + _size(records) > MAX_WAITING_BYTES:
            raise LogOverloadedError(f"{self._waiting_bytes} bytes wait for the log")

    async def _append(self, records: Sequence[Record]) -> list[Answer]:
        if not records:
            return []
        call = _Call(records, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._waiting_records += len(records)
        self._waiting_bytes += _size(records)
        self._arrived.set()
        return await call.done

    async def run(self) -> None:
        """Send what arrives, group after group, until cancelled; then nobody is left waiting."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._send_group()
        finally:
            self._fail_waiting("the writer was stopped")
            if self._wire:
                self._wire.close()

    async def _send_group(self) -> None:
        group = self._take_group()
        self._sending = True
        try:
            answers = await self._send(group.records)
            if self._notice:
                self._notice(group.records, answers)
            group.settle(answers)
        except WireLostError as error:
            group.fail(str(error))
            self._fail_waiting(str(error))
        except LogUnavailableError as error:
            group.fail(str(error))
        except BaseException:
            group.fail("the writer was stopped")
            raise
        finally:
            self._sending = False

    async def _send(self, records: Sequence[Record]) -> Sequence[Answer]:
        """Append; while a cluster elects a leader for the stream, which takes seconds, callers wait."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEADER_SECONDS
        while True:
            try:
                return await append_group(await self._connected(), records)
            except NobodyListensError:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    def _take_group(self) -> _Group:
        """The oldest records that wait, as many as fit. At least one."""
        group, room = _Group(), GROUP_BYTES
        while self._waiting and room > 0 and len(group.records) < BATCH_RECORDS:
            call, before = self._waiting[0], len(group.records)
            for record in call.records[call.taken : call.taken + BATCH_RECORDS - before]:
                group.records.append(record)
                room -= len(record.payload)
                if room <= 0:
                    break
            number = len(group.records) - before
            group.shares.append((call, number))
            call.taken += number
            if call.taken == len(call.records):
                self._waiting.popleft()
        self._waiting_records -= len(group.records)
        self._waiting_bytes -= _size(group.records)
        return group

    async def _connected(self) -> Wire:
        """A wire that lives. Raises WireLostError when no server takes one for `CONNECT_SECONDS`."""
        if self._wire and not self._wire.lost:
            return self._wire
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        while True:
            try:
                self._wire = await open_wire(self._connection)
                return self._wire
            except WireLostError:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    def _fail_waiting(self, reason: str) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            call.settle([LogUnavailableError(reason)] * (len(call.records) - call.taken))
        self._waiting_records = self._waiting_bytes = 0


def _size(records: Sequence[Record]) -> int:
    """Bytes of payload."""
    return sum([len(record.payload) for record in records])


def _refusal(record: Record, largest: int) -> RecordRefusedError | None:
    """Why the record cannot be sent; a line break in it would be read as the next frame."""
    subject, message_id, payload, _ = record
    if not subject or not subject.isprintable() or " " in subject:
        return RecordRefusedError(f"{subject!r} is no subject")
    if not message_id.isprintable():
        return RecordRefusedError(f"{message_id!r} is no message id")
    if len(payload) > largest:
        return RecordRefusedError(f"the payload has {len(payload)} bytes; at most {largest} fit")
    return None
