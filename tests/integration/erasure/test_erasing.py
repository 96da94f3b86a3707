"""What an erasure removes, what it leaves, and what its receipt says."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.codecs.keys import user_key
from shared.client import InvalidArgument
from tests.builders import message
from tests.conditions import eventually
from tests.integration.erasure.world import NOTHING, TRACES, counts, without_redrives

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_is_left_of_an_erased_user(world, ann):
    await world.leave_traces(ann)
    assert await world.holds_of(ann) == TRACES
    receipt = await world.erase(ann)
    assert receipt.HasField("complete_time")
    assert await world.holds_of(ann) == NOTHING


async def test_other_users_keep_everything(world, ann, bob):
    await world.leave_traces(ann)
    await world.leave_traces(bob)
    await world.erase(ann)
    assert await world.holds_of(bob) == TRACES


async def test_the_receipt_counts_what_was_there_and_names_no_user(world, ann):
    first = await world.leave_traces(ann)
    receipt = await world.erase(ann)
    assert counts(receipt) == without_redrives(TRACES)
    assert (receipt.user_key, receipt.first_position) == (user_key(ann), first)
    assert ann.encode() not in receipt.SerializeToString()


async def test_a_user_of_whom_there_is_nothing_gets_a_receipt_of_zeros(world, ann):
    receipt = await world.erase(ann)
    assert receipt.HasField("complete_time")
    assert (set(counts(receipt).values()), receipt.first_position) == ({0}, 0)


async def test_the_bytes_are_nowhere_in_the_files_of_nats(world, broker_directory, ann):
    await world.leave_traces(ann)
    assert files_with(broker_directory / "nats", ann.encode())
    await world.erase(ann)
    assert files_with(broker_directory / "nats", ann.encode()) == []


async def test_what_the_user_does_after_the_request_counts_anew(world, ann):
    await world.leave_traces(ann)
    receipt = await world.erase(ann)
    (position,) = await world.act(ann, 1, "again-")
    await world.show(ann, position)
    await eventually(lambda: world.archived(position))
    assert position > receipt.position
    assert await world.holds_of(ann) == {**NOTHING, "rows": 1, "events": 1, "exposures": 1}


async def test_a_call_for_an_erased_user_of_whom_nothing_new_is_there_answers_the_same_receipt(world, ann):
    await world.leave_traces(ann)
    first = await world.erase(ann)
    assert await world.erase(ann) == first


@pytest.mark.parametrize("kind", ["events", "profiles", "exposures", "dead_letters"])
async def test_a_call_for_an_erased_user_of_whom_there_is_news_erases_again(world, kind, ann):
    first = await world.erase(ann)
    await {
        "events": lambda: world.act(ann, 1),
        "profiles": lambda: world.describe(ann, "en"),
        "exposures": lambda: world.show(ann, first.position),
        "dead_letters": lambda: world.refuse(b'{"user_id": "%s", "items": ' % ann.encode()),
    }[kind]()
    second = await world.erase(ann)
    assert second.receipt_id != first.receipt_id
    assert counts(second)[kind] == 1


async def test_calls_at_the_same_time_share_one_erasure(world, ann):
    await world.leave_traces(ann)
    receipts = await asyncio.gather(*[world.erase(ann) for _ in range(5)])
    assert {receipt.receipt_id for receipt in receipts} == {receipts[0].receipt_id}
    assert counts(receipts[0]) == without_redrives(TRACES)


async def test_two_instances_that_are_asked_at_once_share_one_erasure(world, start_beside, ann):
    other = await start_beside(world)
    await world.leave_traces(ann)
    first, second = await asyncio.gather(world.erase(ann), other.erase(ann))
    assert first == second
    assert counts(first) == without_redrives(TRACES)


async def test_a_call_whose_deadline_comes_first_answers_what_is_known_and_a_later_one_the_rest(start, ann):
    world = await start("ingestion", erasure_settle_seconds="1.5")
    early = await world.erase(ann, timeout_seconds=0.7)
    assert early.receipt_id
    assert early.position == 1
    assert not early.HasField("complete_time")
    late = await world.erase(ann)
    assert late.receipt_id == early.receipt_id
    assert late.HasField("complete_time")


@pytest.mark.parametrize("user_id", ["", "  ", "x" * 129])
async def test_a_bad_user_id_is_refused_by_name(world, user_id):
    with pytest.raises(InvalidArgument) as caught:
        await world.erase(user_id)
    assert caught.value.violations[0].field == "user_id"


async def test_a_second_message_with_an_event_id_that_the_archive_knows_is_found_too(world, ann):
    await world.act(ann, 1)
    twin = message(user_id=ann, event_id=f"{ann}-0").SerializeToString()
    subject = world.space.names.event_subject(user_key(ann) % 16, "click")
    await world.space.nats.jetstream().publish(subject, twin)
    receipt = await world.erase(ann)
    assert (receipt.deleted_events, receipt.deleted_archive_rows) == (2, 1)
    assert await world.holds_of(ann) == NOTHING


async def test_a_message_that_is_gone_already_counts_as_deleted(world, ann):
    first = await world.leave_traces(ann)
    await world.space.nats.jetstream().delete_msg(world.space.names.events, first)
    receipt = await world.erase(ann)
    assert (receipt.deleted_events, receipt.deleted_archive_rows) == (2, 3)


async def test_the_receipt_names_the_models_that_learned_from_the_user(world, ann, bob):
    await world.act(bob, 5)
    positions = await world.act(ann, 2)
    await world.register_model(f"before {ann}", positions[0] - 1)
    await world.register_model(f"after {ann}", positions[0])
    assert list((await world.erase(ann)).model_versions) == [f"after {ann}"]


async def test_an_erased_event_sent_again_past_the_window_of_nats_is_a_new_fact(start, ann):
    world = await start("ingestion", duplicate_window_seconds="0.5")
    (first,) = await world.act(ann, 1)
    receipt = await world.erase(ann)

    async def taken_anew() -> bool:
        return (await world.act(ann, 1))[0] > receipt.position

    await eventually(taken_anew)
    assert first < receipt.position


async def test_of_writes_at_the_same_time_positions_alone_decide(world, ann):
    async def write(number: int) -> int:
        return (await world.act(ann, 1, f"w{number}-"))[0]

    written = [asyncio.create_task(write(number)) for number in range(60)]
    await written[0]
    receipt = await world.erase(ann)
    positions = await asyncio.gather(*written)
    late = [position for position in positions if position > receipt.position]
    await eventually(lambda: world.archived(max(positions)))
    assert receipt.deleted_events == len(positions) - len(late)
    assert await world.holds_of(ann) == {**NOTHING, "rows": len(late), "events": len(late)}


def files_with(directory, text: bytes) -> list[str]:
    """Files below a directory whose bytes hold a text."""
    return [str(file) for file in directory.rglob("*") if file.is_file() and text in file.read_bytes()]
