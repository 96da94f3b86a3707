"""Looking through a stretch of a stream to its end, and deleting messages for good."""

from __future__ import annotations

import pytest

from shared.adapters.jetstream.log_writer import Record
from shared.adapters.jetstream.scanning import Stretch, last_sequence, overwrite, scan
from shared.adapters.jetstream.streams import StreamError
from tests.integration.adapters.test_log_reader import write

pytestmark = pytest.mark.asyncio(loop_scope="session")
FAR = 1 << 40


async def scanned(space, subject: str = "events.v1.0.*", last: int = FAR, first: int = 1) -> list[int]:
    """Sequences that a scan hands out."""
    stretch = Stretch(space.names.events, space.names.subject(subject), last, first)
    return [message.sequence async for batch in scan(space.nats, stretch) for message in batch]


async def test_a_scan_hands_out_every_message_in_order_and_ends(space, writer):
    await write(space, writer, 1, 2500)
    assert await scanned(space) == list(range(1, 2501))


async def test_a_scan_keeps_to_its_bounds_and_its_subject(space, writer):
    await write(space, writer, 1, 10)
    await write(space, writer, 11, 20, partition=1)
    await write(space, writer, 21, 30)
    assert await scanned(space, first=5, last=25) == [*range(5, 11), *range(21, 26)]


async def test_a_scan_of_nothing_ends(space):
    assert await scanned(space) == []


async def test_a_scan_ends_when_the_last_message_was_deleted(space, writer):
    await write(space, writer, 1, 10)
    await overwrite(space.nats, space.names.events, [1, 5, 10])
    assert await scanned(space) == [2, 3, 4, 6, 7, 8, 9]
    assert await last_sequence(space.nats, space.names.events) == 10


async def test_a_scan_hands_out_headers_and_payloads_whatever_their_size(space, writer):
    subject, large = space.names.event_subject(0, "click"), b"x" * 900_000
    await writer.append([Record(subject, f"id{number}", large) for number in range(12)])
    stretch = Stretch(space.names.events, subject, FAR)
    messages = [message async for batch in scan(space.nats, stretch) for message in batch]
    assert [message.headers["Nats-Msg-Id"] for message in messages] == [f"id{n}" for n in range(12)]
    assert {message.payload for message in messages} == {large}


@pytest.mark.parametrize("sequence", [1, 5, 10])
async def test_deleting_a_message_that_is_gone_is_fine_wherever_it_lay(space, writer, sequence):
    await write(space, writer, 1, 10)
    await overwrite(space.nats, space.names.events, [sequence])
    await overwrite(space.nats, space.names.events, [sequence, 6])
    assert await scanned(space) == [each for each in range(1, 11) if each not in (sequence, 6)]


async def test_a_stream_that_does_not_exist_is_named(space):
    with pytest.raises(StreamError, match="no-such-stream"):
        [batch async for batch in scan(space.nats, Stretch("no-such-stream", "a", FAR))]
