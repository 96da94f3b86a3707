"""Cleaning where it meets the log and the archive: what outlasts a restart, and what is written once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.reversals import reversal_id
from shared.client import InvalidArgument
from shared.domain.events.event import EventType
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running, words
from tests.integration.services.test_faults import archived, ids_in_log

pytestmark = pytest.mark.asyncio(loop_scope="session")
START = datetime(2024, 2, 29, 12, tzinfo=UTC)
FLOODS = "refuse-floods: { burst: 20, refill_per_second: 1, reverse_last: 5, source_burst: 30 }"


def at(seconds: float, event_id: str, event_type: str = "click", **fields) -> UserEvent:
    """An event so many seconds after the start, by its sender's clock."""
    fields = {"items": [f"item-{event_id}"], **fields}
    return message(event_type, event_id=event_id, event_time=START + timedelta(seconds=seconds), **fields)


def reversal(original_id: str, event_id: str = "", **fields) -> UserEvent:
    """An event that takes another back."""
    return message("reversal", items=(), corrects_event_id=original_id, event_id=event_id, **fields)


async def in_log(running: Running) -> dict[str, UserEvent]:
    """The log's events by id, in order."""
    jetstream, names = running.space.nats.jetstream(), running.space.names
    stored = [
        UserEvent.FromString((await jetstream.get_msg(names.events, position)).data)
        for position in range(1, await running.log_length() + 1)
    ]
    return {event.event_id: event for event in stored}


async def write(running: Running, *events: UserEvent) -> list[str]:
    """Words of the outcomes of one call."""
    return words((await running.client.batch_write_user_events(list(events))).outcomes)


def preset(directory: Path, step: str) -> str:
    """A preset whose one cleaning step is this."""
    file = directory / "mine.yaml"
    meanings = "".join(f"  {event_type.word}: {{}}\n" for event_type in EventType)
    file.write_text(f"cleaning:\n  {step}\nevents:\n{meanings}")
    return str(file)


async def test_a_visit_goes_on_across_a_restart(start):
    running = await start("ingestion")
    await write(running, at(0, "a"))
    await eventually(lambda: archived(running, "a"))
    await running.suite.restart("ingestion")
    await write(running, at(60, "b"))
    before, after = (await in_log(running)).values()
    assert before.session_id and after.session_id == before.session_id
    assert after.previous_dwell_seconds == pytest.approx(60)


async def test_an_accidental_click_is_reversed_in_the_log_once(start):
    running = await start("ingestion")
    await write(running, at(0, "a"))
    await write(running, at(0.3, "b"))
    assert await write(running, at(0, "a"), at(0.3, "b")) == ["DUPLICATE", "DUPLICATE"]
    assert await ids_in_log(running) == ["a", "b", reversal_id("a")]


async def test_an_accidental_click_of_before_a_restart_is_reversed(start):
    running = await start("ingestion")
    await write(running, at(0, "a"))
    await eventually(lambda: archived(running, "a"))
    await running.suite.restart("ingestion")
    await write(running, at(0.3, "b"))
    assert await ids_in_log(running) == ["a", "b", reversal_id("a")]


async def test_a_flood_is_refused_and_its_end_reversed_once_however_often_it_is_sent(start, tmp_path):
    running = await start("ingestion", domain=preset(tmp_path, FLOODS))
    flood = [at(0, f"f{number}") for number in range(25)]
    first, second = await write(running, *flood), await write(running, *flood)
    assert first == ["ACCEPTED"] * 20 + ["REJECTED"] * 5
    assert second == ["DUPLICATE"] * 20 + ["REJECTED"] * 5
    taken_back = [reversal_id(f"f{number}") for number in range(15, 20)]
    assert await ids_in_log(running) == [event.event_id for event in flood[:20]] + taken_back


async def test_a_quarantined_user_is_refused_at_both_doors_with_the_reason(start, tmp_path):
    running = await start("ingestion", domain=preset(tmp_path, FLOODS))
    await write(running, *[at(0, f"f{number}") for number in range(21)])
    with pytest.raises(InvalidArgument) as refused:
        await running.client.write_user_event(at(1, "g"))
    await running.publish(at(1, "h").SerializeToString())
    letter = (await eventually(running.letters))[0]
    assert refused.value.violations[0].reason == letter.violations[0].reason == "FLOOD"


async def test_a_source_over_its_limit_is_refused_at_the_nats_door(start, tmp_path):
    running = await start("ingestion", domain=preset(tmp_path, FLOODS))
    for number in range(31):
        event = at(0, f"s{number}", user_id=f"user-{number}")
        await running.publish(event.SerializeToString(), Freshet_Source="shop")
    letter = (await eventually(running.letters))[0]
    assert (letter.violations[0].field, letter.violations[0].reason) == ("source", "FLOOD")
    assert await running.log_length() == 30


async def test_an_honest_history_of_equal_times_is_taken_whole(start):
    running = await start("ingestion")
    history = [at(0, f"r{number}", "rate") for number in range(737)]
    assert await write(running, *history) == ["ACCEPTED"] * 737
    assert await running.log_length() == 737


async def test_an_event_accepted_a_moment_ago_is_reversed_while_the_archive_is_away(start, brokers):
    running = await start("ingestion")
    brokers.postgres.pause()
    try:
        await write(running, at(0, "a", "purchase"))
        assert await write(running, reversal("a")) == ["ACCEPTED"]
    finally:
        brokers.postgres.resume()
    original, stored = (await in_log(running)).values()
    assert (stored.event_id, stored.corrected_event_type) == (reversal_id("a"), "purchase")
    assert list(stored.items) == list(original.items)


async def test_an_event_past_the_window_of_nats_is_reversed_once_whatever_id_is_sent(start):
    running = await start("ingestion", duplicate_window_seconds="1")
    written = time.monotonic()
    await write(running, at(0, "a"))
    await eventually(lambda: archived(running, "a"))
    await running.suite.restart("ingestion")
    await eventually(lambda: time.monotonic() > written + 1.5)
    first = await running.client.write_user_event(reversal("a", "first"))
    await eventually(lambda: archived(running, reversal_id("a")))
    await running.suite.restart("ingestion")
    await eventually(lambda: time.monotonic() > written + 4)
    second = await running.client.batch_write_user_events([reversal("a", "second")])
    assert first.event_id == second.outcomes[0].id == reversal_id("a")
    assert words(second.outcomes) == ["DUPLICATE"] and second.outcomes[0].position == 2


async def test_an_event_that_the_log_has_and_this_instance_never_saw_is_reversed_at_once(start):
    running = await start("ingestion")
    await write(running, at(0, "a"))
    await running.suite.restart("ingestion")
    assert await write(running, reversal("a")) == ["ACCEPTED"]


async def test_a_check_tells_what_would_be_refused_and_changes_nothing(start):
    running = await start("ingestion")
    await write(running, at(0, "a"))
    await running.client.write_user_event(reversal("a"), validate_only=True)
    with pytest.raises(InvalidArgument) as refused:
        await running.client.write_user_event(reversal("never"), validate_only=True)
    assert refused.value.violations[0].field == "user_event.corrects_event_id"
    assert await ids_in_log(running) == ["a"]
