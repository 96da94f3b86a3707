"""Reading what a stream holds now: all of it, and then the end."""

from __future__ import annotations

import pytest

from shared.adapters.jetstream import log_range
from shared.adapters.jetstream.log_range import read_stream
from shared.adapters.jetstream.log_writer import Record
from shared.adapters.jetstream.streams import api, last_sequence_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
MESSAGES = 20_000


@pytest.fixture
def subject(space) -> str:
    """What is read."""
    return space.names.event_subject(0, "click")


async def written(writer, subject: str, number: int) -> None:
    await writer.append([Record(subject, f"{n}", b"") for n in range(1, number + 1)])


async def positions(batches) -> list[int]:
    return [message.position async for batch in batches for message in batch]


async def test_all_of_it_is_read_and_nothing_that_comes_later(space, writer, subject):
    await written(writer, subject, 30)
    batches = read_stream(space.nats, space.names.events, subject)
    read = [message.position for message in await anext(batches)]
    await writer.append([Record(subject, "later", b"")])
    assert read + await positions(batches) == list(range(1, 31))


async def test_nothing_is_read_where_nothing_is(space, subject):
    assert await positions(read_stream(space.nats, space.names.events, subject)) == []


async def test_all_of_it_is_read_although_the_server_was_silent_for_long(
    brokers, space, writer, subject, monkeypatch
):
    async def awake_again(*arguments) -> int:
        """The reader has waited for long, and asks what there is."""
        brokers.nats.resume()
        return await last_sequence_of(*arguments)

    await written(writer, subject, MESSAGES)
    batches = read_stream(space.nats, space.names.events, subject)
    read = [message.position for message in await anext(batches)]
    monkeypatch.setattr(log_range, "last_sequence_of", awake_again)
    brokers.nats.pause()
    try:
        read += await positions(batches)
    finally:
        brokers.nats.resume()
    assert read == list(range(1, MESSAGES + 1))


async def test_what_was_deleted_meanwhile_is_not_waited_for(space, writer, subject):
    await written(writer, subject, MESSAGES)
    batches = read_stream(space.nats, space.names.events, subject)
    read = [message.position for message in await anext(batches)]
    await api(space.nats, f"STREAM.PURGE.{space.names.events}", {"filter": subject})
    read += await positions(batches)
    assert read == list(range(1, len(read) + 1))
