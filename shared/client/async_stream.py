"""A stream of events that outlives broken connections, for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest, StreamUserEventsResponse
from shared.client.errors import FreshetError
from shared.client.events import taken_in
from shared.client.resuming import MAX_WAITING, Unanswered

Events = AsyncIterable[UserEvent] | Iterable[UserEvent]
Requests = AsyncIterator[StreamUserEventsRequest]
Open = Callable[[Requests, float | None], AsyncIterable[StreamUserEventsResponse]]


class AsyncEventStream:
    """Sends events and hands out their outcomes in order, on as many calls as it takes.

    open_call: starts a call with the given requests, which may take so many seconds. decode: the typed form of an error
    of gRPC.
    """

    def __init__(
        self, open_call: Open, decode: Callable[[Any], FreshetError], unanswered: Unanswered
    ) -> None:
        self._open, self._decode, self._unanswered = open_call, decode, unanswered
        self._waiting: deque[UserEvent] = deque()
        self._moved = asyncio.Event()
        self._ended = False
        self._current = 0

    async def outcomes(self, events: Events) -> AsyncGenerator[StreamUserEventsResponse, None]:
        """One response per event. Raises FreshetError, or what `events` raises once all before has its outcome."""
        source = asyncio.create_task(self._take_in(events))
        try:
            while not (self._ended and not self._waiting and not len(self._unanswered)):
                async for response in self._one_call():
                    yield response
            await source
        finally:
            self._current += 1
            self._moved.set()
            source.cancel()
            await asyncio.gather(source, return_exceptions=True)

    async def _one_call(self) -> AsyncIterator[StreamUserEventsResponse]:
        self._current += 1
        call = self._open(self._requests(self._current), self._unanswered.seconds_left)
        try:
            async for response in call:
                yield self._unanswered.answered(response)
                self._moved.set()
        except grpc.aio.AioRpcError as error:
            await asyncio.sleep(self._unanswered.pause_seconds(self._decode(error)))
        finally:
            if isinstance(call, grpc.aio.Call):
                call.cancel()

    async def _requests(self, call_number: int) -> Requests:
        """What a call sends: first all that has no outcome yet. A call that is over takes no more."""
        for request in self._unanswered.again():
            yield request
        while self._current == call_number and not (self._ended and not self._waiting):
            if self._waiting and not self._unanswered.full:
                request = self._unanswered.add(self._waiting.popleft())
                self._moved.set()
                yield request
            else:
                self._moved.clear()
                await self._moved.wait()

    async def _take_in(self, events: Events) -> None:
        index = 0
        try:
            async for event in _as_async(events):
                self._waiting.append(taken_in(event, f"user_events[{index}]"))
                index += 1
                self._moved.set()
                while len(self._waiting) >= MAX_WAITING:
                    await self._room()
        finally:
            self._ended = True
            self._moved.set()

    async def _room(self) -> None:
        self._moved.clear()
        await self._moved.wait()


async def _as_async(events: Events) -> AsyncIterator[UserEvent]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event
