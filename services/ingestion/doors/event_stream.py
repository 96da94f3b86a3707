"""One stream of events: reads ahead, writes in groups, answers in order.

Three steps go on side by side: reading what the sender sends, writing groups, and answering.

Decisions. The reader stops at so many events, or bytes, that have no answer yet: gRPC then stops granting the sender
window, and it is held back, also when it never reads its answers. Groups of one stream are written one after the
other, each with all that came while the one before it was written: so the log has the events in the order sent,
which is the order of a user's history. When the log is overloaded, or did not acknowledge an event, the call ends
behind the last good outcome with RESOURCE_EXHAUSTED or UNAVAILABLE and RetryInfo: an outcome UNAVAILABLE for that
event alone would let later events of the same user overtake it. What has no outcome is to be sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest, StreamUserEventsResponse
from services.ingestion.answers import outcome_message
from services.ingestion.intake import Intake, Outcome, Rejected
from services.ingestion.writing.event_writer import Written
from shared.adapters.jetstream.log_writer import LogOverloadedError, LogUnavailableError
from shared.domain.consistency import encode_token
from shared.domain.violation import Violation
from shared.runtime.errors import overloaded, unavailable
from shared.runtime.rpc import MalformedRequest

GROUP_EVENTS = 500
MAX_UNANSWERED_EVENTS = 4 * GROUP_EVENTS
MAX_UNANSWERED_BYTES = 16 * 1024 * 1024
_REQUIRED = Violation("user_event", "is required", "REQUIRED")
Entry = UserEvent | Rejected
Requests = AsyncIterator[StreamUserEventsRequest | MalformedRequest]


class EventStream:
    """The life of one call. draining: set when the service is about to go down. source: the caller's name for itself,
    empty where it does not matter."""

    def __init__(self, intake: Intake, draining: asyncio.Event, source: str = "") -> None:
        self._intake = intake
        self._source = source
        self._draining = draining
        self._arrived: deque[Entry] = deque()
        self._answers: deque[StreamUserEventsResponse] = deque()
        self._unanswered: deque[int] = deque()
        self._unanswered_bytes = 0
        self._arrival, self._ready, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._read_all = self._written_all = False

    async def responses(self, requests: Requests) -> AsyncIterator[StreamUserEventsResponse]:
        """One response per request, in order; ends after the last when the sender has closed its side.

        Raises Refusal RESOURCE_EXHAUSTED or UNAVAILABLE, after all outcomes before it.
        """
        reader = asyncio.create_task(self._read(requests))
        tasks = [reader, asyncio.create_task(self._write()), asyncio.create_task(self._stop(reader))]
        try:
            async for response in self._in_order():
                yield response
            await tasks[1]
            if self._draining.is_set():
                raise unavailable("DRAINING", "the service is going down; send the rest again", 0.2)
            await reader
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self, reader: asyncio.Task[None]) -> None:
        """When the service drains, read no more: what was read is still written and answered."""
        await self._draining.wait()
        reader.cancel()

    async def _read(self, requests: Requests) -> None:
        try:
            async for request in requests:
                self._admit(request)
                while self._is_full():
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._read_all = True
            self._arrival.set()

    def _sources(self, count: int) -> list[str]:
        return [self._source] * count if self._source else []

    def _admit(self, request: StreamUserEventsRequest | MalformedRequest) -> None:
        size = 0 if isinstance(request, MalformedRequest) else request.ByteSize()
        self._unanswered.append(size)
        self._unanswered_bytes += size
        self._arrived.append(_entry(request))
        self._arrival.set()

    def _is_full(self) -> bool:
        return (
            len(self._unanswered) >= MAX_UNANSWERED_EVENTS or self._unanswered_bytes >= MAX_UNANSWERED_BYTES
        )

    async def _write(self) -> None:
        try:
            while self._arrived or not self._read_all:
                await self._arrival.wait()
                self._arrival.clear()
                while self._arrived:
                    size = min(len(self._arrived), GROUP_EVENTS)
                    await self._write_group([self._arrived.popleft() for _ in range(size)])
        finally:
            self._written_all = True
            self._ready.set()

    async def _write_group(self, group: Sequence[Entry]) -> None:
        events = [entry for entry in group if isinstance(entry, UserEvent)]
        try:
            taken = iter(await self._intake.take(events, self._sources(len(events))) if events else ())
        except LogOverloadedError as error:
            raise overloaded(str(error)) from error
        for entry in group:
            outcome = next(taken) if isinstance(entry, UserEvent) else entry
            if isinstance(outcome, LogUnavailableError):
                raise unavailable("LOG_UNAVAILABLE", str(outcome))
            self._answers.append(_response(entry, outcome))
            self._ready.set()

    async def _in_order(self) -> AsyncIterator[StreamUserEventsResponse]:
        while self._answers or not self._written_all:
            await self._ready.wait()
            self._ready.clear()
            while self._answers:
                yield self._answers.popleft()
                self._unanswered_bytes -= self._unanswered.popleft()
                self._room.set()


def _entry(request: StreamUserEventsRequest | MalformedRequest) -> Entry:
    if isinstance(request, MalformedRequest):
        return Rejected([request.violation])
    if not request.HasField("user_event"):
        return Rejected([_REQUIRED])
    return request.user_event


def _response(entry: Entry, outcome: Outcome) -> StreamUserEventsResponse:
    event_id = entry.event_id if isinstance(entry, UserEvent) else ""
    response = StreamUserEventsResponse(outcome=outcome_message(event_id, outcome))
    if isinstance(outcome, Written):
        response.consistency_token = encode_token({outcome.partition: outcome.position})
    return response
