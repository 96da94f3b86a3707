"""What both clients' event streams share: which events have no outcome yet, and what to do when a stream breaks."""

import random
import time
from collections import deque
from collections.abc import Callable

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest, StreamUserEventsResponse
from shared.client.calls import StreamCall
from shared.client.errors import (
    Cancelled,
    ClientClosed,
    FreshetError,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from shared.client.events import with_event_id

MAX_AHEAD = 4096
"""Events sent and without an outcome at most; they are kept, to be sent again."""
MAX_WAITING = 1024
"""Events taken in from the sender's source ahead of sending."""
WAIT_SECONDS = 60.0
"""How long a failing stream is taken up again without any outcome in between."""
STANDING_SECONDS = 5.0
"""A call this old was accepted by the service: an attempt to connect fails sooner."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0


class Unanswered:
    """Events that were taken from the sender and have no outcome, in order.

    Outcomes come in the order sent, so the first event without one is the next to be answered. When a stream
    breaks, everything here is sent again, with the same ids: what was written all the same answers DUPLICATE.

    The patience is for failing, not for quiet: an idle stream that stands owes nothing, however long. timeout_seconds:
    what all calls of the stream may take together; None for any time.
    """

    def __init__(
        self,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float | None = None,
    ) -> None:
        self._events: deque[UserEvent] = deque()
        self._wait_seconds, self._clock = wait_seconds, clock
        self._ends_at = None if timeout_seconds is None else clock() + timeout_seconds
        self._opened_at: float | None = None
        self._failing_since: float | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS

    def __len__(self) -> int:
        return len(self._events)

    @property
    def seconds_left(self) -> float | None:
        """What the next call may take; None for any time."""
        return None if self._ends_at is None else max(0.0, self._ends_at - self._clock())

    @property
    def full(self) -> bool:
        """Whether no more may be sent for now."""
        return len(self._events) >= MAX_AHEAD

    def add(self, event: UserEvent) -> StreamUserEventsRequest:
        """Note an event that is about to be sent; one without an id gets one, in place."""
        self._note_standing()
        self._events.append(with_event_id(event))
        return StreamUserEventsRequest(user_event=event)

    def again(self) -> list[StreamUserEventsRequest]:
        """Everything without an outcome, to be sent on the stream that is opened now."""
        self._opened_at = self._clock()
        return [StreamUserEventsRequest(user_event=event) for event in self._events]

    def answered(self, response: StreamUserEventsResponse) -> StreamUserEventsResponse:
        """Note that the first event has its outcome."""
        self._events.popleft()
        self._recovered()
        return response

    def pause_seconds(self, error: FreshetError) -> float:
        """How long to wait before the stream is taken up again. Raises `error` if that is of no use (any more), or ends
        behind the deadline."""
        self._note_standing()
        now, self._opened_at = self._clock(), None
        self._failing_since = now if self._failing_since is None else self._failing_since
        if not _passes(error) or now - self._failing_since >= self._wait_seconds:
            raise error
        pause = (error.retry_delay_seconds or self._pause_seconds) * random.uniform(0.8, 1.2)
        if self._ends_at is not None and now + pause >= self._ends_at:
            raise error
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        return pause

    def _note_standing(self) -> None:
        """Before an event is owed an outcome, or a call is over: if the stream stood idle, it did not fail."""
        opened_at = self._opened_at
        if opened_at is not None and not self._events and self._clock() - opened_at >= STANDING_SECONDS:
            self._recovered()

    def _recovered(self) -> None:
        self._failing_since, self._pause_seconds = None, FIRST_PAUSE_SECONDS


def _passes(error: FreshetError) -> bool:
    if isinstance(error, ResourceExhausted):
        return error.retry_delay_seconds is not None
    # A service that goes down cancels the streams that do not end in time; a client that is closed stays so.
    passing = isinstance(error, (Unavailable, Cancelled)) and not isinstance(error, ClientClosed)
    return passing or _lost_its_status(error)


def _lost_its_status(error: FreshetError) -> bool:
    """Whether grpc.aio hides the real status: it does so when the service ends a call while a write is under way.
    The next try, which sends the same, tells."""
    return isinstance(error, Internal) and "error from Core" in error.text


def stream_call() -> StreamCall[StreamUserEventsResponse]:
    """The call that writes a stream of events; it may go on for ever."""
    return StreamCall("ingestion", "StreamUserEvents", StreamUserEventsRequest(), timeout_seconds=None)
