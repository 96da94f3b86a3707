"""A stream of events: one outcome each in the order sent, held back by flow control, taken up again when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest

from deploy.local.process import family
from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest
from freshet.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from shared.client import SyncFreshetClient
from shared.domain.consistency import decode_token
from tests.builders import message
from tests.integration.services.conftest import Running, words
from tests.integration.services.test_faults import ids_in_log

pytestmark = pytest.mark.asyncio(loop_scope="session")
MIB = 1024 * 1024


def events(number: int, prefix: str) -> list[UserEvent]:
    return [message(event_id=f"{prefix}-{index}", user_id=f"u{index % 700}") for index in range(number)]


def resident_bytes(running: Running) -> int:
    """Memory of the ingestion service."""
    return sum(each.memory_info().rss for each in family(running.suite.service("ingestion").pid))


def raw_stream(running: Running) -> grpc.aio.StreamStreamCall:
    """A call with no SDK around it."""
    return IngestionServiceStub(running.client.channel("ingestion")).StreamUserEvents()


async def until_held_back(call: grpc.aio.StreamStreamCall, most: int) -> int:
    """How many events can be written before a write does not get through within two seconds."""
    for number in range(most):
        event = message(event_id=f"unread-{number}", query="x" * 1000)
        try:
            async with asyncio.timeout(2):
                await call.write(StreamUserEventsRequest(user_event=event))
        except TimeoutError:
            return number
    return most


async def test_outcomes_come_in_the_order_sent_with_a_token_for_what_is_in_the_log(ingestion):
    sent = [
        message(event_id="s-1"),
        message("stare", event_id="s-2"),
        message(event_id="s-1"),
        message(event_id="s-3"),
    ]
    got = [response async for response in ingestion.client.stream_user_events(sent)]
    assert [each.outcome.id for each in got] == ["s-1", "s-2", "s-1", "s-3"]
    assert words([each.outcome for each in got]) == ["ACCEPTED", "REJECTED", "DUPLICATE", "ACCEPTED"]
    assert [violation.field for violation in got[1].outcome.violations] == ["event_type"]
    assert not got[1].consistency_token
    assert list(decode_token(got[3].consistency_token).values()) == [got[3].outcome.position]


async def test_many_events_lie_in_the_log_in_the_order_sent(ingestion):
    positions = [
        response.outcome.position
        async for response in ingestion.client.stream_user_events(events(3000, "order"))
    ]
    assert len(positions) == 3000
    assert positions == sorted(set(positions))


async def test_a_message_that_is_no_event_has_its_outcome_and_the_stream_goes_on(ingestion):
    method = ingestion.client.channel("ingestion").stream_stream(
        "/freshet.ingestion.v1.IngestionService/StreamUserEvents",
        response_deserializer=IngestionServiceStub(
            ingestion.client.channel("ingestion")
        ).StreamUserEvents._response_deserializer,
    )
    good = StreamUserEventsRequest(user_event=message(event_id="raw-1")).SerializeToString()
    responses = [response async for response in method(iter([b"\xff\xff", b"", good]))]
    assert words([each.outcome for each in responses]) == ["REJECTED", "REJECTED", "ACCEPTED"]
    reasons = [violation.reason for each in responses for violation in each.outcome.violations]
    assert reasons == ["MALFORMED", "REQUIRED"]


async def test_what_a_sender_puts_into_output_only_fields_is_not_kept(ingestion):
    sent = message(
        event_id="out-1", dead_letter_id="7", previous_dwell_seconds=3, corrected_event_type="like"
    )
    [response] = [each async for each in ingestion.client.stream_user_events([sent])]
    position = response.outcome.position
    stored = await ingestion.space.nats.jetstream().get_msg(ingestion.space.names.events, position)
    kept = UserEvent.FromString(stored.data)
    assert (kept.dead_letter_id, kept.corrected_event_type) == ("", "")


async def test_a_sender_that_never_reads_is_held_back_and_memory_stays_bounded(start):
    running = await start("ingestion")
    before = resident_bytes(running)
    # Without probing, a channel buffers no more than 64 KiB of what is not read.
    address, options = running.client.addresses.ingestion, [("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        call = IngestionServiceStub(channel).StreamUserEvents()
        sent = await until_held_back(call, 100_000)
        # What is under way: 2,000 events in the service, and what gRPC's windows on both sides hold, some MiB.
        assert 1000 < sent < 60_000
        assert resident_bytes(running) - before < 64 * MIB
        assert await running.client.write_user_event(message(user_id="another"))


async def test_thirty_thousand_events_pass_in_bounded_memory(start):
    running = await start("ingestion")
    warm = [each async for each in running.client.stream_user_events(events(5_000, "warm"))]
    before, peak, answered = resident_bytes(running), 0, len(warm)
    async for response in running.client.stream_user_events(events(25_000, "many")):
        assert response.outcome.position
        answered += 1
        if answered % 1000 == 0:
            peak = max(peak, resident_bytes(running))
    assert answered == 30_000
    assert peak - before < 32 * MIB


async def test_a_stream_that_is_cancelled_leaves_nothing_hanging(ingestion):
    call = raw_stream(ingestion)
    await call.write(StreamUserEventsRequest(user_event=message(event_id="cancelled-1")))
    await call.read()
    call.cancel()
    [again] = [each async for each in ingestion.client.stream_user_events([message(event_id="cancelled-1")])]
    assert words([again.outcome]) == ["DUPLICATE"]


async def test_a_broken_stream_is_taken_up_again_and_every_event_takes_effect_once(start):
    running = await start("ingestion")
    sent = events(6000, "resume")

    async def source() -> AsyncIterator[UserEvent]:
        for number, event in enumerate(sent):
            if number in (2000, 4000):
                await running.suite.kill("ingestion")
                await running.suite.restart("ingestion")
            yield event

    got = [each.outcome.id async for each in running.client.stream_user_events(source())]
    assert got == [event.event_id for event in sent]
    assert sorted(await ids_in_log(running)) == sorted(got)


async def test_a_service_that_is_told_to_stop_ends_its_streams_at_once(start):
    running = await start("ingestion")
    call = raw_stream(running)
    await call.write(StreamUserEventsRequest(user_event=message(event_id="drained")))
    await call.read()
    started = time.monotonic()
    await running.suite.stop("ingestion")
    assert time.monotonic() - started < 5
    assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_while_the_log_is_away_a_stream_waits_and_then_goes_on_in_order(start, brokers):
    running = await start("ingestion")
    sent = events(2000, "away")

    async def source() -> AsyncIterator[UserEvent]:
        for number, event in enumerate(sent):
            if number == 1000:
                await brokers.nats.sigkill()
                await brokers.nats.start()
            yield event

    got = [each.outcome.id async for each in running.client.stream_user_events(source())]
    assert got == [event.event_id for event in sent]
    assert await ids_in_log(running) == got


async def test_the_sync_client_streams_too(ingestion):
    def write() -> list[str]:
        with SyncFreshetClient(ingestion.client.addresses) as client:
            return words([each.outcome for each in client.stream_user_events(events(1000, "sync"))])

    assert await asyncio.to_thread(write) == ["ACCEPTED"] * 1000
