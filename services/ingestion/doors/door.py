"""The NATS door: events that publishers send straight to `ingest.v1.events`.

The door is a work-queue stream, so a publisher's acknowledgement means that the message is on disk. A message leaves
it once its event is in the log or its refusal is among the dead letters: never silently.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, FetchTimeoutError
from prometheus_client import Counter

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter
from services.ingestion.answers import violation_messages
from services.ingestion.decoding import (
    MalformedEventError,
    decode_user_event,
)
from services.ingestion.intake import Intake, Rejected
from services.ingestion.letters.dead_letters import PAYLOAD_BYTES, DeadLetters
from services.ingestion.writing.event_writer import Written
from shared.adapters.jetstream.log_writer import Appended, LogOverloadedError
from shared.adapters.jetstream.streams import Names
from shared.domain.violation import Violation

_log = structlog.get_logger("door")
FETCH_MESSAGES = 250
FETCH_SECONDS = 1.0
RETRY_SECONDS = 1.0
ACK_WAIT_SECONDS = 10.0
"""After a crash, what was fetched and not acknowledged comes again this much later."""
DRAIN_SECONDS = 8.0
SOURCE = "Freshet-Source"
"""Header in which a publisher names itself, for the limits of sources."""

DOOR_MESSAGES = Counter("freshet_door_messages_total", "Messages at the NATS door by outcome.", ["outcome"])


class Door:
    """Moves messages from the door into the log or among the dead letters."""

    def __init__(self, connection: Client, names: Names, intake: Intake, letters: DeadLetters) -> None:
        self._connection = connection
        self._jetstream = connection.jetstream()
        self._names = names
        self._intake = intake
        self._letters = letters
        self._draining = False
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Work until drained, then do nothing until cancelled; while NATS is away, wait for it."""
        await self._work_until_draining()
        self._drained.set()
        await asyncio.Event().wait()

    async def drain(self) -> None:
        """Fetch no more and finish what was fetched, so that it need not wait to be delivered again."""
        self._draining = True
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._drained.wait()
        except TimeoutError:
            _log.warning("door not drained in time; what was fetched comes again")

    async def _work_until_draining(self) -> None:
        subscription = None
        while not self._draining:
            try:
                subscription = subscription or await self._subscribe()
                await self._work(await subscription.fetch(FETCH_MESSAGES, timeout=FETCH_SECONDS))
            except (FetchTimeoutError, TimeoutError):
                continue
            except (APIError, nats.errors.Error, OSError) as error:
                _log.warning("door interrupted", reason=repr(error))
                subscription = None
                await asyncio.sleep(RETRY_SECONDS)

    async def _subscribe(self) -> JetStreamContext.PullSubscription:
        return await self._jetstream.pull_subscribe(
            self._names.door,
            durable="ingestion",
            stream=self._names.stream("INGEST"),
            config=ConsumerConfig(ack_wait=ACK_WAIT_SECONDS, max_ack_pending=4 * FETCH_MESSAGES),
        )

    async def _work(self, messages: Sequence[Msg]) -> None:
        decoded: list[tuple[Msg, UserEvent]] = []
        refused: list[tuple[Msg, Sequence[Violation]]] = []
        for message in messages:
            try:
                event = decode_user_event(message.data, message.headers or {})
            except MalformedEventError as error:
                refused.append((message, [error.violation]))
                continue
            decoded.append((message, event))
        await asyncio.gather(self._refuse(refused), self._take(decoded))

    async def _take(self, decoded: Sequence[tuple[Msg, UserEvent]]) -> None:
        if not decoded:
            return
        try:
            outcomes = await self._intake.take(
                [event for _, event in decoded],
                self._sources(decoded),
                ["" if event.event_id else _event_id(message) for message, event in decoded],
            )
        except LogOverloadedError as error:
            outcomes = [error] * len(decoded)  # type: ignore[list-item]
        refused: list[tuple[Msg, Sequence[Violation]]] = []
        for (message, _), outcome in zip(decoded, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                refused.append((message, outcome.violations))
            elif isinstance(outcome, Written):
                await _let_go(message, "duplicate" if outcome.duplicate else "accepted")
            else:
                await _keep(message)
        await self._refuse(refused)

    def _sources(self, decoded: Sequence[tuple[Msg, UserEvent]]) -> list[str]:
        """What publishers call themselves, where that matters."""
        if not self._intake.limits_sources:
            return []
        return [(message.headers or {}).get(SOURCE, "") for message, _ in decoded]

    async def _refuse(self, refused: Sequence[tuple[Msg, Sequence[Violation]]]) -> None:
        """Store dead letters, then let the messages go. A letter's id makes a second try store nothing twice."""
        if not refused:
            return
        stream = self._names.stream("INGEST")
        letters = {
            f"{stream}-{message.metadata.sequence.stream}": _dead_letter(message, violations)
            for message, violations in refused
        }
        try:
            answers = await self._letters.store(letters)
        except LogOverloadedError as error:
            answers = [error] * len(refused)  # type: ignore[list-item]
        for (message, _), answer in zip(refused, answers, strict=True):
            await (_let_go(message, "rejected") if isinstance(answer, Appended) else _keep(message))


def _event_id(message: Msg) -> str:
    """Of an event without one: the same however often the message comes. The time tells a stream that was made anew."""
    metadata = message.metadata
    return f"door-{metadata.sequence.stream}-{metadata.timestamp.timestamp():.6f}"


async def _let_go(message: Msg, outcome: str) -> None:
    DOOR_MESSAGES.labels(outcome).inc()
    await message.ack()


async def _keep(message: Msg) -> None:
    """Have the message come again."""
    DOOR_MESSAGES.labels("retried").inc()
    await message.nak(delay=RETRY_SECONDS)


def _dead_letter(message: Msg, violations: Sequence[Violation]) -> DeadLetter:
    letter = DeadLetter(
        payload=message.data[:PAYLOAD_BYTES],
        headers=message.headers or {},
        subject=message.subject,
        violations=violation_messages(violations),
        truncated=len(message.data) > PAYLOAD_BYTES,
    )
    letter.refuse_time.FromNanoseconds(time.time_ns())
    return letter
