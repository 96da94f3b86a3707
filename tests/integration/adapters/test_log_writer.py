"""Appending to the log in groups."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.jetstream import log_writer
from shared.adapters.jetstream.log_writer import (
    BATCH_RECORDS,
    Appended,
    LogOverloadedError,
    LogUnavailableError,
    LogWriter,
    Record,
    RecordRefusedError,
)
from shared.adapters.jetstream.streams import last_position
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def record(space):
    """Makes records with ids."""
    subject = space.names.event_subject(0, "click")
    return lambda number: Record(subject, f"event-{number}", b"payload %d" % number)


async def payload_at(space, position: int) -> bytes:
    return (await space.nats.jetstream().get_msg(space.names.events, position)).data


async def headers_at(space, position: int) -> dict[str, str]:
    return (await space.nats.jetstream().get_msg(space.names.events, position)).headers or {}


async def test_a_record_is_answered_with_its_position(space, writer, record):
    assert await writer.append([record(1)]) == [Appended(1, False)]
    assert await payload_at(space, 1) == b"payload 1"


@pytest.mark.parametrize("number", [3, 50, BATCH_RECORDS + 20])
async def test_the_log_keeps_the_order_of_a_call(space, writer, record, number):
    answers = await writer.append([record(each) for each in range(1, number + 1)])
    assert answers == [Appended(each, False) for each in range(1, number + 1)]
    assert await payload_at(space, number) == b"payload %d" % number


async def test_calls_that_wait_together_share_a_group_and_keep_their_order(space, writer, record):
    calls = [asyncio.create_task(writer.append([record(each)])) for each in range(1, 101)]
    answers = await asyncio.gather(*calls)
    assert [answer[0].position for answer in answers] == list(range(1, 101))
    assert await last_position(space.nats, space.names) == 100


async def test_a_single_duplicate_is_answered_with_its_first_position(writer, record):
    await writer.append([record(1), record(2)])
    assert await writer.append([record(1)]) == [Appended(1, True)]


async def test_a_batch_with_a_duplicate_is_written_all_the_same(space, writer, record):
    await writer.append([record(7)])
    answers = await writer.append([record(each) for each in range(1, 31)])
    assert answers[6] == Appended(1, True)
    assert sorted(answer.position for answer in answers) == list(range(1, 31))
    assert sum(answer.duplicate for answer in answers) == 1
    assert await last_position(space.nats, space.names) == 30


async def test_ids_that_the_log_holds_are_answered_with_their_positions_and_the_rest_stays_a_batch(
    space, writer, record
):
    await writer.append([record(each) for each in range(1, 101)])
    answers = await writer.append([record(each) for each in range(51, 151)])
    assert answers == [Appended(each, each <= 100) for each in range(51, 151)]
    first, last = [await headers_at(space, position) for position in (101, 150)]
    assert first["Nats-Batch-Id"] == last["Nats-Batch-Id"]
    assert await payload_at(space, 150) == b"payload 150"


async def test_a_batch_that_the_log_holds_already_writes_nothing(space, writer, record):
    records = [record(each) for each in range(1, 301)]
    await writer.append(records)
    assert await writer.append(records) == [Appended(each, True) for each in range(1, 301)]
    assert await last_position(space.nats, space.names) == 300


@pytest.mark.parametrize("number", [3, 30])
async def test_an_id_that_comes_twice_in_a_call_is_written_once(space, writer, record, number):
    records = [record(each) for each in range(1, number)]
    answers = await writer.append([*records, record(2)])
    assert answers == [*[Appended(each, False) for each in range(1, number)], Appended(2, True)]
    assert await last_position(space.nats, space.names) == number - 1


async def test_records_without_an_id_are_written_each_time(space, writer, record):
    records = [record(each)._replace(message_id="") for each in range(1, 31)]
    await writer.append([*records, record(99)])
    answers = await writer.append([*records, record(99)])
    assert answers == [*[Appended(each, False) for each in range(32, 62)], Appended(31, True)]


async def test_calls_behind_one_that_is_partly_refused_do_not_overtake_it(writer, record):
    await writer.append([record(1)])
    first = asyncio.create_task(writer.append([record(each) for each in range(1, BATCH_RECORDS + 1)]))
    second = asyncio.create_task(writer.append([record(each) for each in range(5_000, 5_020)]))
    ahead, behind = await asyncio.gather(first, second)
    assert [each.position for each in [*ahead, *behind]] == list(range(1, BATCH_RECORDS + 21))


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "two words"},
        {"subject": ""},
        {"message_id": "a\r\nPUB b 0"},
        {"payload": b"x" * 1_048_576},
    ],
)
async def test_a_record_that_cannot_be_sent_is_refused_and_the_others_are_written(
    space, writer, record, change
):
    answers = await writer.append([record(1), record(2)._replace(**change), record(3)])
    assert isinstance(answers[1], RecordRefusedError)
    assert [answers[0], answers[2]] == [Appended(1, False), Appended(2, False)]
    assert await last_position(space.nats, space.names) == 2


async def test_large_records_go_in_groups_of_bounded_size(space, writer, record):
    answers = await writer.append([record(each)._replace(payload=b"x" * 500_000) for each in range(20)])
    assert [each.position for each in answers] == list(range(1, 21))
    ids = {(await headers_at(space, position)).get("Nats-Batch-Id") for position in (1, 20)}
    assert len(ids) == 2


async def test_no_record_is_no_answer(writer):
    assert await writer.append([]) == []


async def test_more_than_may_wait_are_refused_at_once_and_nothing_is_sent(space, record):
    writer = LogWriter(space.nats, max_waiting=10)
    with pytest.raises(LogOverloadedError):
        await writer.append([record(each) for each in range(11)])
    assert await last_position(space.nats, space.names) == 0


async def test_more_bytes_than_may_wait_are_refused_at_once_and_room_comes_back(space, record, monkeypatch):
    monkeypatch.setattr(log_writer, "MAX_WAITING_BYTES", 1000)
    writer = LogWriter(space.nats)
    first = asyncio.create_task(writer.append([record(1)._replace(payload=b"x" * 600)]))
    await eventually(lambda: writer.busy)
    with pytest.raises(LogOverloadedError, match="600 bytes"):
        await writer.append([record(2)._replace(payload=b"x" * 600)])
    work = asyncio.create_task(writer.run())
    assert await first == [Appended(1, False)]
    assert await writer.append([record(3)._replace(payload=b"x" * 1000)]) == [Appended(2, False)]
    work.cancel()


@pytest.mark.parametrize("number", [1, 20])
async def test_a_subject_that_no_stream_takes_is_answered_as_unavailable(writer, number, monkeypatch):
    monkeypatch.setattr(log_writer, "LEADER_SECONDS", 0.2)
    strangers = [Record("nobody.listens", f"lost-{each}", b"") for each in range(number)]
    answers = await writer.append(strangers)
    assert {type(answer) for answer in answers} == {LogUnavailableError}


async def test_a_writer_that_is_stopped_leaves_nobody_waiting(space, record):
    writer = LogWriter(space.nats)
    call = asyncio.create_task(writer.append([record(each) for each in range(3 * BATCH_RECORDS)]))
    await eventually(lambda: writer._waiting)
    work = asyncio.create_task(writer.run())
    await asyncio.sleep(0)  # the first group is on its way, the others wait behind it
    work.cancel()
    answers = await asyncio.wait_for(call, 5)
    assert len(answers) == 3 * BATCH_RECORDS
    assert isinstance(answers[-1], LogUnavailableError)


async def test_a_server_that_dies_with_a_group_in_flight_leaves_its_fate_open_and_the_next_is_written(
    brokers, space, writer, record
):
    await writer.append([record(0)])
    brokers.nats.pause()
    in_flight = asyncio.create_task(writer.append([record(each) for each in range(1, 51)]))
    await eventually(lambda: writer._wire._answers)
    behind = asyncio.create_task(writer.append([record(each) for each in range(51, 101)]))
    await eventually(lambda: writer._waiting)
    await brokers.nats.sigkill()
    assert {type(each) for each in await in_flight} == {LogUnavailableError}
    await brokers.nats.start()
    positions = [each.position for each in await behind]
    assert positions in (list(range(2, 52)), list(range(52, 102)))


async def test_while_no_server_can_be_reached_all_who_wait_are_answered(
    brokers, space, writer, record, monkeypatch
):
    monkeypatch.setattr(log_writer, "CONNECT_SECONDS", 0.3)
    await brokers.nats.sigkill()
    try:
        calls = [writer.append([record(each) for each in range(BATCH_RECORDS)]) for _ in range(3)]
        answers = await asyncio.wait_for(asyncio.gather(*calls), 5)
    finally:
        await brokers.nats.start()
    assert {type(each) for some in answers for each in some} == {LogUnavailableError}
