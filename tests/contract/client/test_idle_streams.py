"""A stream of events may stand idle for as long as it likes; only failing uses up its patience."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import grpc
import pytest

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsResponse
from shared.client import Unavailable, async_client, user_event
from shared.client.errors import Details, Origin
from shared.client.resuming import STANDING_SECONDS, WAIT_SECONDS, Unanswered
from tests.conditions import eventually
from tests.contract.client.conftest import in_thread

HOUR = 3600.0
ORIGIN = Origin("ingestion", "127.0.0.1:1", "StreamUserEvents", "r")
AWAY = Unavailable(grpc.StatusCode.UNAVAILABLE, "going down", Details(reason="DRAINING"), ORIGIN)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def unanswered(clock: Clock) -> Unanswered:
    return Unanswered(clock=clock)


async def test_a_stream_that_is_idle_outlives_restarts_far_apart(client, script, servers, clock, monkeypatch):
    monkeypatch.setattr(async_client, "Unanswered", partial(Unanswered, clock=clock))
    more = asyncio.Event()

    async def source() -> AsyncIterator[UserEvent]:
        yield user_event("click", "u", ["i"], event_id="before")
        await more.wait()
        yield user_event("click", "u", ["i"], event_id="after")

    stream = client.stream_user_events(source())
    assert (await anext(stream)).outcome.id == "before"
    later = asyncio.create_task(anext(stream))
    for restarts in range(1, 4):
        clock.now += HOUR
        await servers.stop()
        await servers.start()
        await eventually(lambda expected=restarts + 1: later.done() or len(script.streams) == expected)
    more.set()
    assert (await later).outcome.id == "after"
    await stream.aclose()


def test_an_idle_stream_that_stands_does_not_fail(unanswered, clock):
    for _ in range(3):
        unanswered.again()
        clock.now += HOUR
        unanswered.pause_seconds(AWAY)


def test_the_quiet_before_an_event_is_no_failing_of_it(unanswered, clock):
    unanswered.again()
    unanswered.pause_seconds(AWAY)
    unanswered.again()
    clock.now += HOUR
    unanswered.add(user_event("click", "u"))
    clock.now += 1
    unanswered.pause_seconds(AWAY)


def test_an_event_that_gets_no_outcome_uses_up_the_patience(unanswered, clock):
    unanswered.again()
    unanswered.add(user_event("click", "u"))
    unanswered.pause_seconds(AWAY)
    unanswered.again()
    clock.now += WAIT_SECONDS
    with pytest.raises(Unavailable):
        unanswered.pause_seconds(AWAY)


def test_calls_that_are_not_accepted_use_up_the_patience_of_an_idle_stream(unanswered, clock):
    with pytest.raises(Unavailable):
        while clock.now < 2 * WAIT_SECONDS:
            unanswered.again()
            clock.now += STANDING_SECONDS / 2
            unanswered.pause_seconds(AWAY)
    assert clock.now == pytest.approx(WAIT_SECONDS, abs=STANDING_SECONDS)


def test_an_outcome_renews_the_patience(unanswered, clock):
    for _ in range(3):
        unanswered.again()
        unanswered.add(user_event("click", "u"))
        unanswered.pause_seconds(AWAY)
        unanswered.again()
        clock.now += HOUR
        unanswered.answered(StreamUserEventsResponse())


async def test_a_stream_has_a_deadline_only_if_the_caller_gave_one(client, addresses, script):
    def write(sync) -> None:
        list(sync.stream_user_events([user_event("click", "u")]))

    for view in (client, client.with_options(timeout_seconds=9)):
        _ = [each async for each in view.stream_user_events([user_event("click", "u")])]
    await in_thread(addresses, write)
    await in_thread(addresses, lambda sync: write(sync.with_options(timeout_seconds=9)))
    assert script.streams[::2] == [None, None]
    assert all(0 < seconds < 10 for seconds in script.streams[1::2])
