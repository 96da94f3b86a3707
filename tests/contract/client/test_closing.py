"""A closed client says so; a task that nobody cancelled is never told that it was."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.client import Cancelled, ClientClosed, FreshetClient, SyncFreshetClient, user_event
from tests.conditions import eventually

ASYNC_CALLS: list[Callable[[FreshetClient], Awaitable[Any]]] = [
    lambda client: client.recommend("u"),
    lambda client: anext(client.watch_training_run("r1")),
    lambda client: anext(client.stream_user_events([user_event("click", "u")])),
]
SYNC_CALLS: list[Callable[[SyncFreshetClient], Any]] = [
    lambda client: client.recommend("u"),
    lambda client: next(client.watch_training_run("r1")),
    lambda client: next(client.stream_user_events([user_event("click", "u")])),
]
NAMES = ["call", "watch", "stream"]


async def endless_events():
    yield user_event("click", "u", event_id="first")
    await asyncio.Event().wait()


def endless_events_in_a_thread(over: threading.Event):
    yield user_event("click", "u", event_id="first")
    over.wait()


async def drain(answers) -> None:
    async for _ in answers:
        pass


@pytest.mark.parametrize("call", ASYNC_CALLS, ids=NAMES)
async def test_every_call_of_a_closed_client_says_that_it_is_closed(addresses, call):
    client = FreshetClient(addresses)
    await call(client)
    await client.close()
    for view in (client, client.with_options(timeout_seconds=1)):
        with pytest.raises(ClientClosed, match="the client is closed"):
            await call(view)


@pytest.mark.parametrize("call", SYNC_CALLS, ids=NAMES)
async def test_every_call_of_a_closed_sync_client_says_so_too(addresses, call):
    client = SyncFreshetClient(addresses)
    await asyncio.to_thread(call, client)
    client.close()
    for view in (client, client.with_options(timeout_seconds=1)):
        with pytest.raises(ClientClosed, match="the client is closed"):
            await asyncio.to_thread(call, view)


async def test_a_client_outlives_its_event_loop(addresses):
    client = FreshetClient(addresses)

    async def write() -> bool:
        return bool((await client.write_user_event(user_event("click", "u", ["i"]))).event_id)

    assert await asyncio.to_thread(lambda: [asyncio.run(write()) for _ in range(2)]) == [True, True]
    await client.close()


async def test_a_closed_client_hands_out_no_channel_and_closes_twice(addresses):
    client, sync = FreshetClient(addresses), SyncFreshetClient(addresses)
    for _ in range(2):
        await client.close()
        sync.close()
    for closed in (client, sync):
        with pytest.raises(ClientClosed, match="the client is closed"):
            closed.channel("ranking")


async def test_a_call_in_flight_says_that_its_client_was_closed(addresses, script):
    script.delay_seconds = 60.0
    client = FreshetClient(addresses)
    call = asyncio.create_task(client.recommend("u"))
    await eventually(lambda: script.requests)
    await client.close()
    with pytest.raises(ClientClosed, match="Recommend was cancelled while it was under way") as caught:
        await call
    assert caught.value.origin.service == "ranking"


async def test_a_worker_of_a_task_group_does_not_end_silently_when_its_client_is_closed(addresses):
    client, watched = FreshetClient(addresses), []

    async def watch() -> None:
        async for answer in client.watch_training_run("endless"):
            watched.append(answer)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await eventually(lambda: watched)
            await client.close()
    assert [type(error) for error in caught.value.exceptions] == [ClientClosed]


async def test_a_stream_of_events_in_flight_says_that_its_client_was_closed(addresses):
    client = FreshetClient(addresses)
    outcomes = client.stream_user_events(endless_events())
    assert (await anext(outcomes)).outcome.id == "first"
    rest = asyncio.create_task(drain(outcomes))
    await client.close()
    with pytest.raises(ClientClosed, match="the client is closed"):
        await rest


async def test_calls_of_a_sync_client_in_flight_say_that_it_was_closed(addresses, script):
    client, over = SyncFreshetClient(addresses), threading.Event()
    outcomes = client.stream_user_events(endless_events_in_a_thread(over))
    watched = client.watch_training_run("endless")
    await asyncio.to_thread(lambda: (next(outcomes), next(watched), next(watched)))
    script.delay_seconds = 60.0
    waiting = [
        asyncio.create_task(asyncio.to_thread(wait))
        for wait in (lambda: list(outcomes), lambda: list(watched), lambda: client.recommend("u"))
    ]
    await eventually(lambda: len(script.requests) == 3)
    client.close()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    over.set()
    assert [type(end) for end in ends] == [ClientClosed] * 3


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.recommend("u"),
        lambda client: drain(client.watch_training_run("endless")),
        lambda client: drain(client.stream_user_events(endless_events())),
    ],
    ids=NAMES,
)
async def test_a_task_that_its_owner_cancels_is_cancelled(client, script, call):
    script.delay_seconds = 60.0
    task = asyncio.create_task(call(client))
    await eventually(lambda: script.requests)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_timeout_of_the_caller_stays_a_timeout(client, script):
    script.delay_seconds = 60.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.recommend("u")


async def test_events_that_give_up_with_a_cancellation_of_their_own_are_a_typed_error(client):
    async def source():
        yield user_event("click", "u", event_id="first")
        raise asyncio.CancelledError

    outcomes = client.stream_user_events(source())
    assert (await anext(outcomes)).outcome.id == "first"
    with pytest.raises(Cancelled, match="StreamUserEvents was cancelled"):
        await anext(outcomes)
