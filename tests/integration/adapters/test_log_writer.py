"""Appending to the log in groups."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.log_writer import (
    BATCH_RECORDS,
    Appended,
    LogOverloadedError,
    LogUnavailableError,
    LogWriter,
    Record,
)
from shared.adapters.streams import last_position
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def record(space):
    """Makes records with ids."""
    subject = space.names.event_subject(0, "click")
    return lambda number: Record(subject, f"event-{number}", b"payload %d" % number)


async def payload_at(space, position: int) -> bytes:
    return (await space.nats.jetstream().get_msg(space.names.events, position)).data


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


async def test_more_than_may_wait_are_refused_at_once_and_nothing_is_sent(space, record):
    writer = LogWriter(space.nats, max_waiting=10)
    with pytest.raises(LogOverloadedError):
        await writer.append([record(each) for each in range(11)])
    assert await last_position(space.nats, space.names) == 0


@pytest.mark.parametrize("number", [1, 20])
async def test_a_subject_that_no_stream_takes_is_answered_as_unavailable(writer, number):
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
