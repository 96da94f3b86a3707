"""Ingestion's NATS door: what cannot enter the log lies among the dead letters with its reason, never nowhere."""

from __future__ import annotations

import asyncio
import json

import pytest

from freshet.event.v1.event_pb2 import FILLED_FIELD_EVENT_ID, UserEvent
from tests.builders import message
from tests.conditions import eventually
from tests.integration.namespaces import takes_nothing
from tests.integration.services.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def dead_letter(ingestion, payload: bytes, **headers: str):
    """The letter that a message becomes."""
    before = len(await ingestion.letters())
    await ingestion.publish(payload, **headers)

    async def new() -> list:
        return (await ingestion.letters())[before:]

    return (await eventually(new))[0]


async def event_at(ingestion, position: int) -> UserEvent:
    stored = await ingestion.space.nats.jetstream().get_msg(ingestion.space.names.events, position)
    return UserEvent.FromString(stored.data)


async def taken(ingestion, payload: bytes, **headers: str) -> UserEvent:
    """The event that a message becomes in the log."""
    before = await ingestion.log_length()
    await ingestion.publish(payload, **headers)

    async def longer() -> bool:
        return await ingestion.log_length() > before

    await eventually(longer)
    return await event_at(ingestion, before + 1)


async def test_protobuf_is_taken(ingestion):
    event = await taken(ingestion, message(event_id="door-1").SerializeToString())
    assert (event.event_id, event.user_id) == ("door-1", "u1")
    assert event.HasField("ingest_time")


async def test_json_with_cloud_events_headers_is_taken(ingestion):
    payload = json.dumps({"userId": "u1", "items": [{"itemId": "i1"}]}).encode()
    event = await taken(ingestion, payload, ce_id="door-2", ce_type="like", ce_time="2024-02-29T12:00:00Z")
    assert (event.event_id, event.event_type, event.event_time.seconds) == ("door-2", "like", 1_709_208_000)


@pytest.mark.parametrize(
    "payload, field",
    [
        (b"\xff\xff\xff\xff", "payload"),
        (b"", "event_type"),
        (b'{"userId": ', "payload"),
        (b'{"userId": "u1", "eventType": "stare", "items": [{"itemId": "i1"}]}', "event_type"),
        (b'{"userId": "u1", "eventType": "click"}', "items"),
        (b'{"userId": "a\xffb"}', "userId"),
        (message(user_id="MARK").SerializeToString().replace(b"MARK", b"\xff\xfe\xfd\xfc"), "user_id"),
    ],
)
async def test_a_bad_message_becomes_a_dead_letter_and_the_door_goes_on(ingestion, payload, field):
    letter = await dead_letter(ingestion, payload)
    assert letter.violations[0].field == field
    assert (letter.payload, letter.subject) == (payload, ingestion.space.names.door)
    await taken(ingestion, message().SerializeToString())


async def test_a_dead_letter_keeps_the_headers(ingestion):
    assert dict((await dead_letter(ingestion, b"{}", ce_id="bad id")).headers) == {"ce-id": "bad id"}


async def test_a_message_as_large_as_nats_takes_becomes_a_dead_letter(ingestion):
    letter = await dead_letter(ingestion, b"\xff" * 1_000_000)
    assert 0 < len(letter.payload) <= 64 * 1024
    await taken(ingestion, message().SerializeToString())


async def test_an_event_that_cleaning_makes_too_large_for_the_log_does_not_come_for_ever(ingestion):
    event = message(items=[" " * 4000 + f"x{number}" for number in range(100)])
    for number in range(40):
        event.attributes[f"a{number}"].text.append("x" * 16_000)
    event.attributes["rest"].text.append("x" * (1_046_400 - event.ByteSize()))
    letter = await dead_letter(ingestion, event.SerializeToString())
    assert [(each.field, each.reason) for each in letter.violations] == [("payload", "OUT_OF_RANGE")]
    await taken(ingestion, message().SerializeToString())


async def test_headers_as_large_as_nats_takes_do_not_block_the_door(ingestion):
    assert (await dead_letter(ingestion, b"\xff" * 980_000, ce_subject="x" * 60_000)).violations
    await taken(ingestion, message().SerializeToString())


async def test_good_and_bad_messages_together_each_find_their_place(ingestion):
    letters, length = len(await ingestion.letters()), await ingestion.log_length()
    for number in range(40):
        good = message(event_id=f"mixed-{number}").SerializeToString()
        await ingestion.publish(good if number % 2 else b"\xff\xff")

    async def settled() -> bool:
        return await ingestion.at_the_door() == 0

    await eventually(settled)
    assert len(await ingestion.letters()) == letters + 20
    assert await ingestion.log_length() == length + 20


@pytest.mark.parametrize(
    "block",
    [
        b"junk",
        b"X",
        b"NATS/1.0 503 No Responders",
        b"NATS/1.0 404\r\nStatus: 404",
        b"NATS/1.0\r\nStatus: 408",
    ],
)
async def test_no_header_block_can_hold_up_the_door(ingestion, block):
    async def written() -> None:
        host, port = ingestion.space.nats.connected_url.netloc.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        headers = block + b"\r\n\r\n"
        frame = b"HPUB %s %d %d\r\n%s\r\n" % (subject, len(headers), len(headers), headers)
        writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n' + frame + b"PING\r\n")
        while not (await reader.readline()).startswith(b"PONG"):
            pass
        writer.close()

    subject, before = ingestion.space.names.door.encode(), len(await ingestion.letters())
    await written()

    async def refused() -> bool:
        return len(await ingestion.letters()) == before + 1

    await eventually(refused, timeout=5)
    await taken(ingestion, message().SerializeToString())


async def test_many_large_messages_at_once_all_become_letters(start):
    running = await start("ingestion")
    await running.suite.stop("ingestion")
    for number in range(300):
        await running.space.nats.publish(running.space.names.door, b"\xff%d" % number + b"\xff" * 150_000)
    await running.space.nats.flush()
    await running.suite.start("ingestion")

    async def empty() -> bool:
        return await running.at_the_door() == 0

    await eventually(empty)
    assert len(await running.letters()) == 300


async def come_again(running: Running) -> int:
    """How many messages at the door were tried in vain."""
    stream = running.space.names.stream("INGEST")
    return (await running.space.nats.jetstream().consumer_info(stream, "ingestion")).num_redelivered


@pytest.mark.parametrize(
    "kept_in, payload", [("EVENTS", message().SerializeToString()), ("REJECTED", b"\xff")]
)
async def test_what_can_be_stored_nowhere_stays_at_the_door_until_it_can(start, kept_in, payload):
    running = await start("ingestion")
    stream, jetstream = running.space.names.stream(kept_in), running.space.nats.jetstream()
    async with takes_nothing(running.space.nats, stream):
        await running.publish(payload)
        await eventually(lambda: come_again(running))

    async def stored() -> bool:
        return (await jetstream.stream_info(stream)).state.messages == 1

    await eventually(stored)


async def killed_and_emptied(running: Running) -> None:
    """Ingestion died and came back, and nothing waits at the door any more."""

    async def empty() -> bool:
        return await running.at_the_door() == 0

    await running.suite.kill("ingestion")
    await running.suite.start("ingestion")
    await eventually(empty, 40)


async def test_a_door_that_dies_before_it_acknowledges_stores_no_letter_twice(start):
    running = await start("ingestion")
    for number in range(2000):
        await running.space.nats.publish(running.space.names.door, b"\xff%d" % number)
    await eventually(running.letters)
    await killed_and_emptied(running)
    payloads = [letter.payload for letter in await running.letters()]
    assert len(payloads) == len(set(payloads)) == 2000


async def test_an_event_without_an_id_is_taken_once_although_the_door_died_before_it_acknowledged(start):
    running = await start("ingestion")
    for number in range(2000):
        event = UserEvent(event_type="click", user_id=f"u{number}")
        event.items.add(item_id="i1")
        await running.space.nats.publish(running.space.names.door, event.SerializeToString())
    await eventually(running.log_length)
    await killed_and_emptied(running)
    users = [(await event_at(running, place)).user_id for place in range(1, 1 + await running.log_length())]
    assert len(users) == len(set(users)) == 2000


async def test_an_id_that_the_door_made_is_noted_as_filled_in(ingestion):
    payload = json.dumps({"userId": "u1", "eventType": "click", "items": [{"itemId": "i1"}]}).encode()
    first, second = await taken(ingestion, payload), await taken(ingestion, payload)
    assert first.event_id != second.event_id
    assert all(FILLED_FIELD_EVENT_ID in event.filled_fields for event in (first, second))
