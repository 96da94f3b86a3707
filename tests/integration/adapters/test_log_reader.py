"""Reading the log: in order, each message once, from anywhere, whatever happens to the consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.log_writer import Record
from shared.adapters.jetstream.streams import api, ensure_streams
from shared.domain.stream_settings import StreamSettings, UnfitSettingError
from tests.conditions import eventually
from tests.integration.namespaces import SMALL

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def reading(space, **source) -> AsyncIterator[list[tuple[int, bytes]]]:
    """A reader at work; the list grows by what it hands out."""
    subjects = source.pop("subjects", ["events.v1.*.*"])
    subjects = [space.names.subject(each) for each in subjects]
    reader = LogReader(space.nats, LogSource(space.names.events, subjects, **source))
    seen: list[tuple[int, bytes]] = []

    async def work() -> None:
        async for batch in reader.batches():
            seen.extend((message.position, message.payload) for message in batch)

    task = asyncio.create_task(work())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def write(space, writer, first: int, last: int, partition: int = 0) -> None:
    subject = space.names.event_subject(partition, "click")
    await writer.append([Record(subject, f"{n}", b"%d" % n) for n in range(first, last + 1)])


def numbered(first: int, last: int) -> list[tuple[int, bytes]]:
    return [(n, b"%d" % n) for n in range(first, last + 1)]


async def test_what_is_there_and_what_comes_is_read_in_order(space, writer):
    await write(space, writer, 1, 30)
    async with reading(space) as seen:
        await eventually(lambda: seen == numbered(1, 30))
        await write(space, writer, 31, 700)
        await eventually(lambda: seen == numbered(1, 700))


async def test_reading_begins_where_it_is_told_to(space, writer):
    await write(space, writer, 1, 30)
    async with reading(space, start=21) as seen:
        await eventually(lambda: seen == numbered(21, 30))


async def test_more_than_may_be_pending_is_read_piece_by_piece(space, writer):
    await write(space, writer, 1, 300)
    async with reading(space, max_pending=16) as seen:
        await eventually(lambda: seen == numbered(1, 300))


async def test_only_the_subjects_wanted_are_read(space, writer):
    await write(space, writer, 1, 10, partition=0)
    await write(space, writer, 11, 20, partition=1)
    async with reading(space, subjects=["events.v1.1.*"]) as seen:
        await eventually(lambda: seen == numbered(11, 20))


async def test_only_the_newest_version_of_each_item_is_read_and_then_all_new_ones(space, writer):
    versions = [Record(space.names.item_subject(key), "", b"%d" % n) for n, key in enumerate((1, 2, 1, 1), 1)]
    await writer.append(versions)
    async with reading(space, subjects=["items.v1.*"], last_per_subject=True) as seen:
        await eventually(lambda: seen == [(2, b"2"), (4, b"4")])
        await writer.append([Record(space.names.item_subject(2), "", b"5")])
        await eventually(lambda: seen[2:] == [(5, b"5")])


async def test_a_consumer_that_is_deleted_is_made_anew_and_nothing_is_missed_or_read_twice(space, writer):
    await write(space, writer, 1, 30)
    async with reading(space) as seen:
        await eventually(lambda: len(seen) == 30)
        for name in await consumers(space):
            await api(space.nats, f"CONSUMER.DELETE.{space.names.events}.{name}")
        await write(space, writer, 31, 60)
        await eventually(lambda: seen == numbered(1, 60))


async def made_anew(space) -> None:
    """The log, with nothing in it."""
    await space.nats.jetstream().delete_stream(space.names.events)
    await ensure_streams(space.nats, space.names, StreamSettings(retention=SMALL))


async def test_a_log_that_was_made_anew_is_not_passed_over_but_told_of(space, writer):
    await write(space, writer, 1, 30)
    source = LogSource(space.names.events, [space.names.subject("events.v1.*.*")])
    async with contextlib.aclosing(LogReader(space.nats, source).batches()) as batches:
        assert [message.position async for message in first(30, batches)][-1] == 30
        await made_anew(space)
        await write(space, writer, 1, 3)
        with pytest.raises(
            UnfitSettingError, match=f"FRESHET_NATS_URL.*{space.names.events} ends at 3.*held 30"
        ):
            await anext(batches)


async def test_a_stream_that_was_made_anew_is_read_again_by_who_asks_for_that(space, writer):
    await write(space, writer, 1, 30)
    async with reading(space, again=True) as seen:
        await eventually(lambda: len(seen) == 30)
        await made_anew(space)
        await write(space, writer, 1, 3)
        await eventually(lambda: seen[30:] == numbered(1, 3))


async def test_messages_deleted_from_the_log_are_passed_over(space, writer):
    await write(space, writer, 1, 30)
    await space.nats.jetstream().delete_msg(space.names.events, 10)
    async with reading(space) as seen:
        await eventually(lambda: seen == [each for each in numbered(1, 30) if each[0] != 10])


async def test_a_message_tells_its_id_without_its_payload_being_read(space, writer):
    subject = space.names.event_subject(0, "click")
    await writer.append([Record(subject, "a-1", b""), Record(subject, "", b"")])
    source = LogSource(space.names.events, [subject])
    reader = LogReader(space.nats, source).batches()
    async with contextlib.aclosing(reader):
        messages = [message async for message in first(2, reader)]
    assert [message.message_id for message in messages] == ["a-1", ""]


async def first(number: int, batches) -> AsyncIterator[LogMessage]:
    """So many messages."""
    async for batch in batches:
        for message in batch:
            yield message
            if (number := number - 1) == 0:
                return


async def test_a_server_that_comes_back_is_read_on_and_nothing_is_missed_or_read_twice(
    brokers, space, writer
):
    await write(space, writer, 1, 30)
    async with reading(space) as seen:
        await eventually(lambda: len(seen) == 30)
        await brokers.nats.sigkill()
        await brokers.nats.start()
        await write(space, writer, 31, 60)
        await eventually(lambda: seen == numbered(1, 60))


async def test_a_server_that_was_frozen_is_read_on_and_nothing_is_missed_or_read_twice(
    brokers, space, writer
):
    await write(space, writer, 1, 30)
    async with reading(space) as seen:
        await eventually(lambda: len(seen) == 30)
        brokers.nats.pause()
        try:
            with capture_logs() as logs:
                await eventually(lambda: any("nothing heard" in each["reason"] for each in logs))
        finally:
            brokers.nats.resume()
        await write(space, writer, 31, 60)
        await eventually(lambda: seen == numbered(1, 60))


async def test_a_reader_that_ends_leaves_no_consumer(space, writer):
    await write(space, writer, 1, 3)
    async with reading(space) as seen:
        await eventually(lambda: len(seen) == 3)
        assert len(await consumers(space)) == 1
    await eventually(lambda: no_consumers(space))


async def consumers(space) -> list[str]:
    answer = await api(space.nats, f"CONSUMER.NAMES.{space.names.events}")
    return answer.get("consumers") or []


async def no_consumers(space) -> bool:
    return not await consumers(space)
