"""A stream of events that outlives broken connections, for threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest, StreamUserEventsResponse
from shared.client.errors import FreshetError
from shared.client.events import taken_in
from shared.client.resuming import MAX_WAITING, Unanswered

Open = Callable[[Iterator[StreamUserEventsRequest], float | None], Any]


class SyncEventStream:
    """Sends events and hands out their outcomes in order, on as many calls as it takes.

    open_call: starts a call with the given requests, which may take so many seconds. decode: the typed form of an error
    of gRPC. The events are taken in by a thread of their own, so that a source which blocks holds up no outcomes.
    """

    def __init__(
        self, open_call: Open, decode: Callable[[Any], FreshetError], unanswered: Unanswered
    ) -> None:
        self._open, self._decode, self._unanswered = open_call, decode, unanswered
        self._waiting: deque[UserEvent] = deque()
        self._moved = threading.Condition()
        self._ended = self._closed = False
        self._failure: BaseException | None = None
        self._current = 0

    def outcomes(self, events: Iterable[UserEvent]) -> Iterator[StreamUserEventsResponse]:
        """One response per event. Raises FreshetError, or what `events` raises once all before has its outcome."""
        threading.Thread(target=self._take_in, args=(events,), name="freshet-events", daemon=True).start()
        try:
            while not self._all_answered():
                yield from self._one_call()
            if self._failure is not None:
                raise self._failure
        finally:
            with self._moved:
                self._closed = True
                self._current += 1
                self._moved.notify_all()

    def _all_answered(self) -> bool:
        with self._moved:
            return self._ended and not self._waiting and not len(self._unanswered)

    def _one_call(self) -> Iterator[StreamUserEventsResponse]:
        with self._moved:
            self._current += 1
            requests = self._requests(self._current, self._unanswered.again())
        call = self._open(requests, self._unanswered.seconds_left)
        try:
            for response in call:
                yield self._answered(response)
        except grpc.RpcError as error:
            time.sleep(self._pause_seconds(error))
        finally:
            call.cancel()

    def _answered(self, response: StreamUserEventsResponse) -> StreamUserEventsResponse:
        with self._moved:
            self._moved.notify_all()
            return self._unanswered.answered(response)

    def _pause_seconds(self, error: grpc.RpcError) -> float:
        with self._moved:
            return self._unanswered.pause_seconds(self._decode(error))

    def _requests(
        self, call_number: int, again: list[StreamUserEventsRequest]
    ) -> Iterator[StreamUserEventsRequest]:
        """What a call sends: first all that has no outcome yet. A call that is over takes no more."""
        yield from again
        while (request := self._next_request(call_number)) is not None:
            yield request

    def _next_request(self, call_number: int) -> StreamUserEventsRequest | None:
        with self._moved:
            while self._current == call_number and not (self._ended and not self._waiting):
                if self._waiting and not self._unanswered.full:
                    self._moved.notify_all()
                    return self._unanswered.add(self._waiting.popleft())
                self._moved.wait()
        return None

    def _take_in(self, events: Iterable[UserEvent]) -> None:
        try:
            for index, event in enumerate(events):
                with self._moved:
                    self._waiting.append(taken_in(event, f"user_events[{index}]"))
                    self._moved.notify_all()
                    self._moved.wait_for(lambda: self._closed or len(self._waiting) < MAX_WAITING)
                if self._closed:
                    return
        except BaseException as error:
            self._failure = error
        finally:
            with self._moved:
                self._ended = True
                self._moved.notify_all()
