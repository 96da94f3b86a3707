"""What the SDK promises, against real servers; the sync and the async client keep the same promises."""

import asyncio
import copy
import pickle
from contextlib import aclosing

import grpc
import pytest
from google.rpc import code_pb2

from freshet.event.v1.event_pb2 import UserEvent
from shared.client import (
    DeadlineExceeded,
    FreshetClient,
    InvalidArgument,
    ResourceExhausted,
    SyncFreshetClient,
    Unavailable,
    Unimplemented,
    user_event,
)
from tests.conditions import eventually
from tests.contract.client.conftest import NOBODY, away, bad_field, in_thread, overloaded, status


async def test_an_event_without_an_id_gets_one_before_the_first_try(client, script):
    written = await client.write_user_event(UserEvent(event_type="click", user_id="u"))
    assert written.event_id == script.requests[0].user_event.event_id != ""


async def test_a_retry_sends_the_same_event_id(client, script):
    script.errors = [away(), away()]
    await client.write_user_event(user_event("click", "u", ["i"]))
    assert len(script.requests) == 3
    assert len({request.user_event.event_id for request in script.requests}) == 1


async def test_a_call_that_a_service_lets_go_of_is_made_again(client, script):
    script.errors = [status(code_pb2.CANCELLED, "CANCELLED")]
    await client.recommend("u")
    assert len(script.requests) == 2


async def test_sending_the_same_object_again_sends_the_same_event_id(client, script):
    event = UserEvent(event_type="click", user_id="u")
    await client.write_user_event(event)
    await client.batch_write_user_events([event])
    assert script.requests[0].user_event.event_id == script.requests[1].user_events[0].event_id


async def test_a_retried_start_of_training_is_the_same_request(client, script):
    script.errors = [away()]
    assert (await client.start_training()).run.run_id == "r1"
    assert script.requests[0].request_id == script.requests[1].request_id != ""


async def test_a_retried_rollback_is_the_same_request(client, script):
    script.errors = [away()]
    assert (await client.rollback_model("worse")).rolled_back_model_version == "v2"
    assert script.requests[0].request_id == script.requests[1].request_id != ""


async def test_a_bad_field_is_named_in_the_message_and_for_programs(client, script):
    script.errors = [bad_field("user_event.items[0].item_id", "must not be empty")]
    with pytest.raises(InvalidArgument) as caught:
        await client.write_user_event(user_event("click", "u", [""]))
    assert str(caught.value) == "InvalidArgument: user_event.items[0].item_id: must not be empty"
    assert (caught.value.reason, caught.value.violations[0].reason) == ("INVALID_EVENT", "REQUIRED")
    assert caught.value.details.metadata == {"service": "ingestion"}


async def test_an_error_that_will_not_pass_is_not_retried(client, script):
    script.errors = [bad_field("user_event.user_id", "must not be empty")]
    with pytest.raises(InvalidArgument):
        await client.write_user_event(user_event("click", ""))
    assert len(script.requests) == 1


async def test_overload_tells_when_to_come_back(client, script):
    script.errors = [overloaded(delay_seconds=3)]
    with pytest.raises(ResourceExhausted, match="too many writes in flight") as caught:
        await client.recommend("u")
    assert caught.value.retry_delay_seconds == 3.0


@pytest.mark.parametrize("passed_on", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
async def test_an_error_can_leave_a_worker_process(client, script, passed_on):
    script.errors = [overloaded(delay_seconds=7)]
    with pytest.raises(ResourceExhausted) as caught:
        await client.recommend("u")
    error, again = caught.value, passed_on(caught.value)
    assert (type(again), str(again), again.code) == (type(error), str(error), error.code)
    assert (again.details, again.origin) == (error.details, error.origin)


async def test_nobody_at_the_address_names_service_and_address(client):
    with pytest.raises(Unavailable, match=f"nobody answers at {NOBODY} .feature.") as caught:
        await client.get_user_features("u")
    assert caught.value.unreachable


async def test_a_service_that_says_it_is_away_is_not_called_unreachable(client, script):
    script.errors = [away() for _ in range(5)]
    with pytest.raises(Unavailable, match="the log is away") as caught:
        await client.recommend("u")
    assert (caught.value.unreachable, caught.value.reason) == (False, "LOG_UNAVAILABLE")


async def test_a_late_answer_names_the_call(client, script):
    script.delay_seconds = 5.0
    with pytest.raises(DeadlineExceeded, match=r"ranking at .* did not answer Recommend in time"):
        await client.with_options(timeout_seconds=0.05).recommend("u")


async def test_a_call_the_service_does_not_know_is_typed_and_says_where_it_was_asked(client):
    address = client.addresses.ranking
    with pytest.raises(Unimplemented, match=f"{address} does not know GetModelStatus of ranking") as caught:
        await client.get_model_status()
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


async def test_each_request_has_an_id_of_its_own_that_errors_carry(client, script):
    script.errors = [overloaded(1)]
    with pytest.raises(ResourceExhausted) as caught:
        await client.recommend("u")
    await client.recommend("u")
    assert caught.value.origin.request_id == script.request_ids[0] != script.request_ids[1]


async def test_a_given_request_id_is_passed_on(client, script):
    await client.with_options(request_id="from-the-web-tier").recommend("u")
    assert script.request_ids == ["from-the-web-tier"]


async def test_recommend_passes_its_fields_on(client, script):
    await client.recommend("u", page_size=3, exclude_item_ids=["a"], min_consistency_token="t")
    request = script.requests[0]
    assert (request.page_size, list(request.exclude_item_ids)) == (3, ["a"])
    assert request.min_consistency_token == "t"


async def test_rank_items_passes_its_fields_on(client, script):
    answer = await client.rank_items("u", ["b", "a"], placement="home", min_consistency_token="t")
    request = script.requests[0]
    assert (request.user_id, list(request.item_ids), request.placement) == ("u", ["b", "a"], "home")
    assert answer.consistency_token == "t"


async def test_a_watched_run_is_told_step_by_step(client):
    assert [answer.run.step async for answer in client.watch_training_run("r1")] == [1, 2]


async def test_an_error_of_a_stream_is_typed(client, script):
    script.errors = [overloaded(2)]
    with pytest.raises(ResourceExhausted):
        _ = [answer async for answer in client.watch_training_run("r1")]


async def test_a_watch_that_is_left_early_is_cancelled(client, script):
    async with aclosing(client.watch_training_run("endless")) as answers:
        await anext(answers)
    await eventually(lambda: script.ended == ["endless"])


async def test_the_sync_client_cancels_a_watch_that_is_left_early(addresses, script):
    with SyncFreshetClient(addresses) as client:
        answers = client.watch_training_run("endless")
        await asyncio.to_thread(next, answers)
        answers.close()
        await eventually(lambda: script.ended == ["endless"])


async def test_the_sync_client_retries_and_keeps_the_event_id(addresses, script):
    script.errors = [away()]
    event = UserEvent(event_type="click", user_id="u")
    written = await in_thread(addresses, lambda client: client.write_user_event(event))
    assert [request.user_event.event_id for request in script.requests] == [written.event_id] * 2


async def test_the_sync_client_raises_the_same_errors(addresses, script):
    script.errors = [bad_field("user_event.user_id", "must not be empty"), overloaded(2)]
    with pytest.raises(InvalidArgument, match=r"user_event\.user_id: must not be empty"):
        await in_thread(addresses, lambda client: client.write_user_event(user_event("click", "")))
    with pytest.raises(ResourceExhausted):
        await in_thread(addresses, lambda client: list(client.watch_training_run("r1")))


async def test_the_sync_client_streams_and_takes_options(addresses, script):
    steps = await in_thread(addresses, lambda client: [a.run.step for a in client.watch_training_run("r1")])
    assert steps == [1, 2]
    await in_thread(addresses, lambda client: client.with_options(request_id="mine").recommend("u"))
    assert script.request_ids[-1] == "mine"


def test_both_clients_have_the_same_calls_with_the_same_documentation():
    documented = [
        {name: method.__doc__ for name, method in vars(kind).items() if hasattr(method, "__wrapped__")}
        for kind in (FreshetClient, SyncFreshetClient)
    ]
    assert documented[0] == documented[1]
    assert len(documented[0]) == 23
    assert FreshetClient.stream_user_events.__doc__ == SyncFreshetClient.stream_user_events.__doc__
