"""Messages as large as the services allow pass; larger ones are refused at once, as no patience makes them smaller."""

import pytest

from freshet.event.v1.event_pb2 import UserEvent
from shared.client import ResourceExhausted, user_event
from shared.client.connection import CHANNEL_OPTIONS
from shared.client.patience import Patience
from shared.runtime.channels import MAX_MESSAGE_BYTES
from tests.contract.client.conftest import away, in_thread, overloaded, too_large

MIB = 1024 * 1024


def large_event() -> UserEvent:
    return user_event("click", "u", ["i"], query="x" * (40 * MIB))


def test_the_client_takes_what_the_servers_may_send():
    assert dict(CHANNEL_OPTIONS)["grpc.max_receive_message_length"] == MAX_MESSAGE_BYTES


async def test_a_page_of_24_mib_arrives(client, addresses, script):
    script.page_bytes = 24 * MIB
    pages = [
        await client.list_dead_letters(),
        await in_thread(addresses, lambda sync: sync.list_dead_letters()),
    ]
    assert [len(page.dead_letters[0].payload) for page in pages] == [24 * MIB] * 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_large_request_is_sent_again_like_a_small_one(client, addresses, script, is_async):
    script.errors = [away(), away()]
    batch = [user_event("click", "u", ["i"], query="x" * MIB) for _ in range(24)]
    if is_async:
        await client.batch_write_user_events(batch)
    else:
        await in_thread(addresses, lambda sync: sync.batch_write_user_events(batch))
    assert len(script.requests) == 3


async def test_patience_does_not_ask_again_for_an_answer_that_is_too_large(client, script):
    script.page_bytes = 33 * MIB
    with pytest.raises(ResourceExhausted, match="larger than max"):
        await Patience(60).until_answered(client.list_dead_letters)
    assert len(script.requests) == 1


async def test_patience_waits_out_an_overload_that_says_when_to_come_back(client, script):
    script.errors = [overloaded(delay_seconds=0)]
    await Patience(60).until_answered(lambda: client.recommend("u"))
    assert len(script.requests) == 2


async def test_a_stream_refuses_an_event_that_is_too_large_after_the_outcomes_before_it(client, script):
    seen = []
    with pytest.raises(ResourceExhausted, match="larger than max"):
        async for each in client.stream_user_events([user_event("click", "u", ["i"]), large_event()]):
            seen.append(each)
    assert (len(seen), len(script.streams)) == (1, 1)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_stream_is_not_taken_up_again_when_nobody_says_when_to_come_back(
    client, addresses, script, is_async
):
    script.breaks = [(0, too_large())] * 50
    with pytest.raises(ResourceExhausted):
        if is_async:
            _ = [each async for each in client.stream_user_events([user_event("click", "u")])]
        else:
            await in_thread(addresses, lambda sync: list(sync.stream_user_events([user_event("click", "u")])))
    assert len(script.streams) == 1
