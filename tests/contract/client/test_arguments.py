"""What the SDK refuses before it asks anybody, in words that name the fix."""

import math
import re

import pytest

from shared.client import FreshetClient, SyncFreshetClient, calls, user_event
from tests.contract.client.conftest import in_thread


@pytest.mark.parametrize(
    "call",
    [
        lambda: calls.delete_items("sku-1"),
        lambda: calls.rank_items("u", "sku-1"),
        lambda: calls.batch_get_item_features("sku-1"),
        lambda: calls.recommend("u", exclude_item_ids="sku-1"),
        lambda: calls.redrive_dead_letters("sku-1"),
        lambda: user_event("click", "u", "sku-1"),
    ],
    ids=["delete", "rank", "item features", "recommend", "redrive", "event"],
)
def test_one_bare_id_in_the_place_of_a_list_is_refused_with_the_fix(call):
    with pytest.raises(
        TypeError, match=re.escape("takes a list of ids, got the string 'sku-1'; write ['sku-1']")
    ):
        call()


def test_the_argument_that_takes_a_list_is_named():
    with pytest.raises(TypeError, match=r"^item_ids takes"):
        calls.delete_items("sku-1")
    with pytest.raises(TypeError, match=r"^exclude_item_ids takes"):
        calls.recommend("u", exclude_item_ids="sku-1")


@pytest.mark.parametrize("ids", [["a", "b"], ("a", "b"), iter(["a", "b"])], ids=["list", "tuple", "iterator"])
def test_any_iterable_of_ids_is_taken(ids):
    assert list(calls.delete_items(ids).request.item_ids) == ["a", "b"]


def test_what_is_no_event_is_named():
    with pytest.raises(TypeError, match=r"^user_event is of type dict; it must be a UserEvent$"):
        calls.write_user_event({"user_id": "u"})
    with pytest.raises(TypeError, match=r"^user_events\[1\] is of type int; it must be a UserEvent$"):
        calls.batch_write_user_events([user_event("click", "u"), 1])


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_is_no_event_ends_a_stream_after_the_outcomes_before_it(client, addresses, is_async):
    events, seen = [user_event("click", "u"), user_event("click", "u"), "click"], []

    def write(sync) -> None:
        for each in sync.stream_user_events(events):
            seen.append(each)

    with pytest.raises(TypeError, match=r"^user_events\[2\] is of type str; it must be a UserEvent$"):
        if is_async:
            async for each in client.stream_user_events(events):
                seen.append(each)
        else:
            await in_thread(addresses, write)
    assert len(seen) == 2


@pytest.mark.parametrize("kind", [FreshetClient, SyncFreshetClient])
@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, math.inf, 1e300])
def test_a_timeout_that_cannot_be_is_refused_with_the_rule(kind, seconds):
    rule = r"^timeout_seconds must be finite, above 0 and at most 31536000 "
    with pytest.raises(ValueError, match=rule):
        kind().with_options(timeout_seconds=seconds)


@pytest.mark.parametrize("kind", [FreshetClient, SyncFreshetClient])
@pytest.mark.parametrize("request_id", ["ünï", "a\nb", "\x00", "\x7f"])
def test_a_request_id_that_grpc_cannot_carry_is_refused_with_the_rule(kind, request_id):
    with pytest.raises(ValueError, match=r"^request_id must be printable ASCII, got "):
        kind().with_options(request_id=request_id)


async def test_the_longest_timeout_and_any_printable_request_id_are_carried(client, script):
    await client.with_options(timeout_seconds=31_536_000, request_id="web tier/7~").recommend("u")
    assert script.request_ids == ["web tier/7~"]
