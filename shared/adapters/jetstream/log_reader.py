"""Reads a JetStream stream in order, each message once, from any position, for as long as it runs.

Decision: a projection keeps its own position in one transaction with its state, so the server need not know what was
processed: the consumer is ephemeral and acknowledges nothing. Pull requests are kept open ahead of need, so that a
message is delivered the moment it is stored, and never more than `max_pending` wait in memory. A gap in the consumer's
sequence, a lost consumer, a lost connection or a silent server ends the consumer; a new one, on a wire of its own,
starts behind the last message handed out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from nats.aio.client import Client

from shared.adapters.jetstream.nats_frames import Message, header
from shared.adapters.jetstream.nats_servers import open_wire
from shared.adapters.jetstream.nats_wire import NoRespondersError, Wire
from shared.adapters.jetstream.streams import LOOK_AGAIN_SECONDS, LOOKS, SECOND_NS, set_back

_log = structlog.get_logger("log_reader")
_HEARTBEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3 * _HEARTBEAT_SECONDS
_EXPIRES_SECONDS = 60.0
_API_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
MAX_PENDING = 4096


class LogRecord(NamedTuple):
    """What the log holds at a position. message_id: the id it was appended under; empty for none. decoded: what the
    payload says, where its writer has told."""

    position: int
    subject: str
    message_id: str
    payload: bytes
    decoded: Any = None


class LogMessage(NamedTuple):
    """One message of a stream. position: its sequence; subject; payload; behind: how many were stored behind it;
    headers: as they came."""

    position: int
    subject: str
    payload: bytes
    behind: int
    headers: bytes = b""

    @property
    def message_id(self) -> str:
        """The id it was appended under; empty for none."""
        return header(self.headers, b"Nats-Msg-Id").decode()

    @property
    def record(self) -> LogRecord:
        """The message without what belongs to its delivery."""
        return LogRecord(self.position, self.subject, self.message_id, self.payload)


class ConsumerLostError(RuntimeError):
    """The consumer must be made anew."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """What to read. subjects: none means all. start: the first position wanted. last_per_subject: only the newest
    message of each subject up to now, then all new ones. again: read a stream that ends before what was read of it, as
    one that was made anew, from the start; by default that is an error, for what was made of it does not fit it."""

    stream: str
    subjects: Sequence[str]
    start: int = 1
    last_per_subject: bool = False
    max_pending: int = MAX_PENDING
    again: bool = False


@dataclass(slots=True)
class _Consumer:
    """A consumer on its wire. requested: messages asked for and not yet here; delivered: the newest sequence."""

    wire: Wire
    name: str
    inbox: str
    waiting: list[Message] = field(default_factory=list)
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
        """Batches of messages in log order, without end. A batch holds what has arrived, at least one message. Raises
        UnfitSettingError for a stream that ends before `position`, unless it is to be read again."""
        pause = _PAUSE_SECONDS
        while True:
            wire = consumer = None
            try:
                wire = await open_wire(self._connection)
                await self._check_end(wire)
                consumer = await self._open(wire)
                pause = _PAUSE_SECONDS
                async for batch in self._read(consumer):
                    self.position, self._started = batch[-1].position, True
                    yield batch
            except (ConsumerLostError, NoRespondersError, TimeoutError, OSError) as error:
                self._tell(error, again=pause > _PAUSE_SECONDS)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            finally:
                if consumer is not None:
                    consumer.wire.publish(self._subject("DELETE", consumer), b"")
                if wire is not None:
                    wire.close()

    def _tell(self, error: Exception, again: bool) -> None:
        log = _log.debug if again else _log.warning
        log("log consumer is made anew", stream=self._source.stream, reason=repr(error))

    async def _check_end(self, wire: Wire) -> None:
        """NATS may have lost the stream or its end: everything up to `position` would be passed over. One end below is
        looked at again for a while: a server that has just become leader may lag."""
        for pause in (*[LOOK_AGAIN_SECONDS] * LOOKS, 0.0):
            answer = (
                await _call(wire, f"STREAM.INFO.{self._source.stream}", {}) if self.position > 0 else None
            )
            if answer is None or (end := int(answer["state"]["last_seq"])) >= self.position:
                return
            await asyncio.sleep(pause)
        if not self._source.again:
            raise set_back(self._source.stream, end, self.position)
        _log.error(
            "stream is read again from its start", stream=self._source.stream, end=end, read=self.position
        )
        self.position, self._started = self._source.start - 1, False

    async def _open(self, wire: Wire) -> _Consumer:
        answer = await _call(wire, f"CONSUMER.CREATE.{self._source.stream}", self._request())
        consumer = _Consumer(wire, answer["name"], f"{wire.inbox}.log.1")
        # Two words behind the inbox, so that replies to requests, which have one, stay apart.
        wire.subscribe(consumer.inbox, consumer.waiting.append)
        return consumer

    def _request(self) -> dict[str, object]:
        config: dict[str, object] = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.position + 1,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30 * SECOND_NS,
            **({"filter_subjects": list(self._source.subjects)} if self._source.subjects else {}),
        }
        if self._source.last_per_subject and not self._started:
            config |= {"deliver_policy": "last_per_subject"}
            del config["opt_start_seq"]
        return {"stream_name": self._source.stream, "config": config}

    async def _read(self, consumer: _Consumer) -> AsyncIterator[list[LogMessage]]:
        while True:
            self._ask(consumer)
            await _arrival(consumer)
            waiting = consumer.waiting.copy()
            consumer.waiting.clear()
            if batch := _accepted(consumer, waiting):
                yield batch

    def _ask(self, consumer: _Consumer) -> None:
        """Keep at least half of `max_pending` asked for."""
        if consumer.requested > self._source.max_pending // 2:
            return
        wanted = self._source.max_pending - consumer.requested
        request = {
            "batch": wanted,
            "expires": int(_EXPIRES_SECONDS * SECOND_NS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * SECOND_NS),
        }
        consumer.wire.publish(
            self._subject("MSG.NEXT", consumer), json.dumps(request).encode(), consumer.inbox
        )
        consumer.requested += wanted

    def _subject(self, call: str, consumer: _Consumer) -> str:
        return f"$JS.API.CONSUMER.{call}.{self._source.stream}.{consumer.name}"


async def _call(wire: Wire, call: str, request: dict[str, object]) -> dict:
    """The answer to a call of the JetStream API. Raises ConsumerLostError when it is an error."""
    message = await wire.request(f"$JS.API.{call}", json.dumps(request).encode(), _API_SECONDS)
    answer = json.loads(message.payload)
    if "error" in answer:
        raise ConsumerLostError(answer["error"]["description"])
    return answer


async def _arrival(consumer: _Consumer) -> None:
    """Wait until messages are there. Raises WireLostError, ConsumerLostError."""
    wire = consumer.wire
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):  # wait_for can swallow a cancellation in Python 3.11
            await wire.arrived.wait()
    except TimeoutError:
        raise ConsumerLostError(f"nothing heard for {_SILENCE_SECONDS:.0f} s") from None
    wire.arrived.clear()
    if wire.lost and not consumer.waiting:
        raise wire.lost


def _accepted(consumer: _Consumer, waiting: Sequence[Message]) -> list[LogMessage]:
    """What is in order. Raises ConsumerLostError when something is missing or the consumer is gone.

    The reply subject holds the positions: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.
    <pending>`, or its longer form with domain and account before the stream and a random token behind.
    """
    batch: list[LogMessage] = []
    for _, subject, reply, headers, payload in waiting:
        if not reply.startswith(b"$JS.ACK."):
            _obey_status(consumer, headers)
            continue
        tokens = reply.rsplit(b".", 5)
        at = 2 if tokens[0].count(b".") == 3 else 1
        if int(tokens[at + 1]) != consumer.delivered + 1:
            raise ConsumerLostError(f"messages missing: {consumer.delivered} then {int(tokens[at + 1])}")
        consumer.delivered += 1
        consumer.requested -= 1
        batch.append(LogMessage(int(tokens[at]), subject.decode(), payload, int(tokens[at + 3]), headers))
    return batch


def _obey_status(consumer: _Consumer, headers: bytes) -> None:
    """100: heartbeat. 404 and 408: a request ended, with so many messages of it undelivered. Else: lost."""
    status, _, description = headers.partition(b"\r\n")[0].removeprefix(b"NATS/1.0 ").partition(b" ")
    if status == b"100":
        return
    undelivered = header(headers, b"Nats-Pending-Messages")
    if undelivered or status in (b"404", b"408"):
        consumer.requested -= int(undelivered or consumer.requested)
        return
    raise ConsumerLostError(
        f"status {headers[:200]!r}" if not status else f"status {status!r} {description!r}"
    )
