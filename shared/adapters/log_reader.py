"""Reads a JetStream stream in order, each message once, from any position, for as long as it runs.

Decision: a projection keeps its own position in one transaction with its state, so the server need not know what was
processed: the consumer is ephemeral and acknowledges nothing. Pull requests are kept open ahead of need, so that a
message is delivered the moment it is stored, and never more than `max_pending` wait in memory. A gap in the consumer's
sequence, a lost consumer or a silent server ends the consumer; a new one starts behind the last message handed out.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.adapters.streams import SECOND_NS, api

_log = structlog.get_logger("log_reader")
_HEARTBEAT_SECONDS = 2.0
_SILENCE_SECONDS = 3 * _HEARTBEAT_SECONDS
_EXPIRES_SECONDS = 60.0
_STATUS = "Status"


class LogMessage(NamedTuple):
    """One message of a stream. position: its sequence; subject; payload; whether more were stored behind it."""

    position: int
    subject: str
    payload: bytes
    behind: int


class ConsumerLostError(RuntimeError):
    """The consumer must be made anew."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """What to read. start: the first position wanted. last_per_subject: only the newest message of each subject
    up to now, then all new ones."""

    stream: str
    subjects: Sequence[str]
    start: int = 1
    last_per_subject: bool = False
    max_pending: int = 4096


@dataclass(slots=True)
class _Consumer:
    name: str
    subscription: Subscription
    waiting: deque[Msg] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    requested: int = 0
    delivered: int = 0


class LogReader:
    """Hands out batches of messages. `position` is that of the last message handed out."""

    def __init__(self, connection: Client, source: LogSource) -> None:
        self._connection = connection
        self._source = source
        self.position = source.start - 1
        self._started = False

    async def batches(self) -> AsyncGenerator[list[LogMessage], None]:
        """Batches of messages in log order, without end. A batch holds what has arrived, at least one message."""
        while True:
            consumer = None
            try:
                consumer = await self._open()
                async for batch in self._read(consumer):
                    self.position, self._started = batch[-1].position, True
                    yield batch
            except (ConsumerLostError, nats.errors.Error, TimeoutError, OSError) as error:
                _log.warning("log consumer is made anew", stream=self._source.stream, reason=repr(error))
                await asyncio.sleep(0.1)
            finally:
                if consumer is not None:
                    await self._close(consumer)

    async def _open(self) -> _Consumer:
        stream = self._source.stream
        answer = await api(self._connection, f"CONSUMER.CREATE.{stream}", self._request())
        if "error" in answer:
            raise ConsumerLostError(answer["error"]["description"])
        consumer = _Consumer(answer["name"], None)  # type: ignore[arg-type]

        async def deliver(message: Msg) -> None:
            consumer.waiting.append(message)
            consumer.arrived.set()

        consumer.subscription = await self._connection.subscribe(
            self._connection.new_inbox(), cb=deliver, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        return consumer

    def _request(self) -> dict[str, object]:
        config: dict[str, object] = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.position + 1,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30 * SECOND_NS,
            "filter_subjects": list(self._source.subjects),
        }
        if self._source.last_per_subject and not self._started:
            config |= {"deliver_policy": "last_per_subject"}
            del config["opt_start_seq"]
        return {"stream_name": self._source.stream, "config": config}

    async def _read(self, consumer: _Consumer) -> AsyncIterator[list[LogMessage]]:
        while True:
            await self._ask(consumer)
            await self._arrival(consumer)
            waiting, consumer.waiting = consumer.waiting, deque()
            batch = [message for each in waiting if (message := self._accept(consumer, each)) is not None]
            if batch:
                yield batch

    async def _ask(self, consumer: _Consumer) -> None:
        """Keep at least half of `max_pending` asked for."""
        if consumer.requested > self._source.max_pending // 2:
            return
        wanted = self._source.max_pending - consumer.requested
        request = {
            "batch": wanted,
            "expires": int(_EXPIRES_SECONDS * SECOND_NS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * SECOND_NS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._source.stream}.{consumer.name}"
        await self._connection.publish(
            subject, json.dumps(request).encode(), reply=consumer.subscription.subject
        )
        consumer.requested += wanted

    async def _arrival(self, consumer: _Consumer) -> None:
        try:
            async with asyncio.timeout(
                _SILENCE_SECONDS
            ):  # wait_for can swallow a cancellation in Python 3.11
                await consumer.arrived.wait()
        except TimeoutError:
            raise ConsumerLostError(f"nothing heard for {_SILENCE_SECONDS:.0f} s") from None
        consumer.arrived.clear()

    def _accept(self, consumer: _Consumer, message: Msg) -> LogMessage | None:
        if message.headers and _STATUS in message.headers and not message.reply.startswith("$JS.ACK"):
            _obey_status(consumer, message.headers)
            return None
        consumer.requested -= 1
        parsed, consumer_sequence = _parse(message)
        if consumer_sequence != consumer.delivered + 1:
            raise ConsumerLostError(f"messages missing: {consumer.delivered} then {consumer_sequence}")
        consumer.delivered = consumer_sequence
        return parsed

    async def _close(self, consumer: _Consumer) -> None:
        try:
            await consumer.subscription.unsubscribe()
            await self._connection.publish(
                f"$JS.API.CONSUMER.DELETE.{self._source.stream}.{consumer.name}", b""
            )
        except nats.errors.Error as error:
            _log.debug("log consumer not deleted; it expires", reason=repr(error))


def _obey_status(consumer: _Consumer, headers: dict[str, str]) -> None:
    """100: heartbeat. 404 and 408: a request ended, with so many messages of it undelivered. Else: lost."""
    status = headers[_STATUS]
    if status == "100":
        return
    if status in ("404", "408") or "Nats-Pending-Messages" in headers:
        consumer.requested -= int(headers.get("Nats-Pending-Messages", consumer.requested))
        return
    raise ConsumerLostError(f"status {status} {headers.get('Description', '')}")


def _parse(message: Msg) -> tuple[LogMessage, int]:
    """The message and its sequence within the consumer, from the reply subject
    `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, or its longer form
    with domain and account before the stream and a random token behind."""
    tokens = message.reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    parsed = LogMessage(int(tokens[at]), message.subject, message.data, int(tokens[at + 3]))
    return parsed, int(tokens[at + 1])
