"""Appends to a JetStream stream in groups, so that the price of a disk sync is shared by all who wait for one.

Decision: `sync_interval: always` makes every write wait for the disk. One worker sends what has gathered since the
last write: a few records one by one, many as an atomic batch (nats-server 2.12+). One group is in flight at a time,
so the log keeps the order of the calls. A batch that holds an id the stream has seen is refused whole; its records
are then sent one by one, and the duplicates answer with their first position.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.nuid import NUID

BATCH_RECORDS = 500
"""Records of one atomic batch at most; the server allows 1,000."""
SINGLE_RECORDS = 8
"""Up to this many records are sent one by one, which is quicker than a batch."""
PARALLEL_SINGLES = 256
ACK_TIMEOUT_SECONDS = 5.0


class LogUnavailableError(RuntimeError):
    """The stream did not acknowledge in time. Whether it holds the records is not known; send them again."""


class LogOverloadedError(RuntimeError):
    """Too many records wait already; nothing was sent."""


class Record(NamedTuple):
    """One message to append. message_id: `Nats-Msg-Id`, empty for none."""

    subject: str
    message_id: str
    payload: bytes


class Appended(NamedTuple):
    """Where a record lies. duplicate: it was there before, at this position."""

    position: int
    duplicate: bool


@dataclass(slots=True)
class _Waiting:
    record: Record
    done: asyncio.Future[Appended]


class LogWriter:
    """Appends records to one stream. `run` must be running; `append` may be called from many tasks."""

    def __init__(self, connection: Client, max_waiting: int = 50_000) -> None:
        self._connection = connection
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._batch_ids = NUID()

    async def append(self, records: Sequence[Record]) -> list[Appended | LogUnavailableError]:
        """Append in order; one answer per record once the stream has acknowledged it. Raises LogOverloadedError."""
        if len(self._waiting) + len(records) > self._max_waiting:
            raise LogOverloadedError(f"{len(self._waiting)} records wait for the log")
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(record, loop.create_future()) for record in records]
        self._waiting.extend(waiting)
        self._arrived.set()
        return await asyncio.gather(*[each.done for each in waiting], return_exceptions=True)  # type: ignore[return-value]

    async def run(self) -> None:
        """Send what arrives, group after group, until cancelled; then nobody is left waiting."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._send_group()
        finally:
            _fail(self._waiting, LogUnavailableError("the writer was stopped"))
            self._waiting.clear()

    async def _send_group(self) -> None:
        size = min(len(self._waiting), BATCH_RECORDS)
        group = [self._waiting.popleft() for _ in range(size)]
        try:
            await (self._send_singles(group) if size <= SINGLE_RECORDS else self._send_batch(group))
        except (LogUnavailableError, nats.errors.Error, TimeoutError, OSError) as error:
            _fail(group, LogUnavailableError(f"the log did not acknowledge: {error or type(error).__name__}"))
        except BaseException:
            _fail(group, LogUnavailableError("the writer was stopped"))
            raise

    async def _send_singles(self, group: Sequence[_Waiting]) -> None:
        answers = await asyncio.gather(
            *[self._send_single(each.record) for each in group], return_exceptions=True
        )
        for each, answer in zip(group, answers, strict=True):
            if isinstance(answer, Appended):
                _finish(each, answer)
            else:
                _fail([each], LogUnavailableError(f"the log did not acknowledge: {answer!r}"))

    async def _send_single(self, record: Record) -> Appended:
        headers = {"Nats-Msg-Id": record.message_id} if record.message_id else None
        answer = await self._request(record, headers)
        if "error" in answer:
            raise LogUnavailableError(answer["error"]["description"])
        return Appended(answer["seq"], answer.get("duplicate", False))

    async def _send_batch(self, group: Sequence[_Waiting]) -> None:
        batch_id = self._batch_ids.next().decode()
        for sequence, each in enumerate(group[:-1], 1):
            headers = _batch_headers(each.record, batch_id, sequence)
            await self._connection.publish(each.record.subject, each.record.payload, headers=headers)
        headers = _batch_headers(group[-1].record, batch_id, len(group)) | {"Nats-Batch-Commit": "1"}
        answer = await self._request(group[-1].record, headers)
        if "error" in answer:
            await self._after_refusal(group, answer["error"])
            return
        first = answer["seq"] - len(group) + 1
        for offset, each in enumerate(group):
            _finish(each, Appended(first + offset, False))

    async def _after_refusal(self, group: Sequence[_Waiting], error: dict) -> None:
        if error.get("err_code") != _BATCH_HOLDS_DUPLICATE:
            raise LogUnavailableError(error["description"])
        for start in range(0, len(group), PARALLEL_SINGLES):
            await self._send_singles(group[start : start + PARALLEL_SINGLES])

    async def _request(self, record: Record, headers: dict[str, str] | None) -> dict:
        answer = await self._connection.request(
            record.subject, record.payload, timeout=ACK_TIMEOUT_SECONDS, headers=headers
        )
        return json.loads(answer.data)


_BATCH_HOLDS_DUPLICATE = 10201


def _batch_headers(record: Record, batch_id: str, sequence: int) -> dict[str, str]:
    headers = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(sequence)}
    if record.message_id:
        headers["Nats-Msg-Id"] = record.message_id
    return headers


def _finish(each: _Waiting, appended: Appended) -> None:
    if not each.done.done():
        each.done.set_result(appended)


def _fail(group: Iterable[_Waiting], error: LogUnavailableError) -> None:
    for each in group:
        if not each.done.done():
            each.done.set_exception(error)
