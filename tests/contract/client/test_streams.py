"""Streams of events: outcomes in order, and a broken stream taken up again with what has no outcome."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from freshet.event.v1.event_pb2 import UserEvent
from shared.client import Internal, InvalidArgument, Unavailable, async_client, user_event
from shared.client.async_client import FreshetClient
from shared.client.resuming import MAX_AHEAD, Unanswered
from tests.contract.client.conftest import away, bad_field, in_thread, overloaded


def events(number: int) -> list[UserEvent]:
    return [user_event("click", "u", ["i"], event_id=f"e{index}") for index in range(number)]


async def ids(client: FreshetClient, number: int) -> list[str]:
    return [each.outcome.id async for each in client.stream_user_events(events(number))]


async def test_each_event_has_its_outcome_in_order(client, script):
    assert await ids(client, 300) == [f"e{number}" for number in range(300)]


def one_object(number: int) -> Iterator[UserEvent]:
    """Events that are made of the same object, one after the other."""
    event = UserEvent()
    for each in events(number):
        event.CopyFrom(each)
        yield event


@pytest.mark.parametrize("is_async", [True, False])
async def test_events_that_are_made_of_one_object_are_sent_as_they_were(client, addresses, script, is_async):
    if is_async:
        _ = [each async for each in client.stream_user_events(one_object(20))]
    else:
        await in_thread(addresses, lambda sync: list(sync.stream_user_events(one_object(20))))
    sent = [request.user_event.event_id for request in script.requests]
    assert sent == [f"e{number}" for number in range(20)]


async def test_nothing_to_send_is_no_error(client):
    assert await ids(client, 0) == []


@pytest.mark.parametrize("error", [away, lambda: overloaded(0)], ids=["away", "overloaded"])
async def test_a_broken_stream_goes_on_with_the_events_that_have_no_outcome(client, script, error):
    script.breaks = [(3, error()), (0, error()), (50, error())]
    assert await ids(client, 100) == [f"e{number}" for number in range(100)]
    sent = [request.user_event.event_id for request in script.requests]
    assert set(sent) == {f"e{number}" for number in range(100)}
    assert sent.count("e0") == 1
    assert sent.count("e3") == 3


async def test_the_sync_client_takes_a_broken_stream_up_again_too(addresses, script):
    script.breaks = [(3, away()), (0, away())]

    def write(client) -> list[str]:
        return [each.outcome.id for each in client.stream_user_events(events(50))]

    assert await in_thread(addresses, write) == [f"e{number}" for number in range(50)]


async def test_an_error_that_will_not_pass_ends_the_stream(client, script):
    script.breaks = [(0, bad_field("user_event", "is required"))] * 50
    with pytest.raises(InvalidArgument):
        await ids(client, 5)


async def test_a_stream_that_stays_broken_raises_when_patience_ends(client, script, monkeypatch):
    monkeypatch.setattr(async_client, "Unanswered", partial(Unanswered, wait_seconds=0.0))
    script.breaks = [(2, away())]
    # grpc.aio hides the status when a write is under way.
    with pytest.raises((Unavailable, Internal)):
        await ids(client, 5)


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_the_source_raises_comes_after_all_outcomes_before_it(client, addresses, is_async):
    seen: list[str] = []

    def source() -> Iterator[UserEvent]:
        yield from events(3)
        raise OSError("the file ends here")

    def write(sync) -> None:
        for each in sync.stream_user_events(source()):
            seen.append(each.outcome.id)

    with pytest.raises(OSError, match="ends here"):
        if is_async:
            async for each in client.stream_user_events(source()):
                seen.append(each.outcome.id)
        else:
            await in_thread(addresses, write)
    assert seen == ["e0", "e1", "e2"]


async def test_an_endless_source_is_read_no_further_than_a_little_ahead(client, script):
    taken = 0

    async def source() -> AsyncIterator[UserEvent]:
        nonlocal taken
        while True:
            taken += 1
            yield user_event("click", "u", ["i"])

    stream = client.stream_user_events(source())
    await anext(stream)
    await stream.aclose()
    assert taken <= 2 * MAX_AHEAD
