"""What each step of cleaning does to an event, and what it says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from freshet.event.v1.event_pb2 import Attribute, UserEvent
from tests.builders import message
from tests.unit.ingestion.intakes import intake, rules, taken, written
from tests.unit.ingestion.test_event_writer import Log

START = datetime(2025, 5, 1, 12, tzinfo=UTC)


def at(seconds: float, event_type: str = "click", **fields) -> UserEvent:
    """An event so many seconds after START."""
    return message(event_type, event_time=START + timedelta(seconds=seconds), **fields)


def notes(event: UserEvent, step: str) -> dict[str, str]:
    """What a step says it did: the original by field."""
    return {each.field: each.original for each in event.cleaning if each.step == step}


async def test_event_types_are_spelled_in_one_way():
    (event,) = await taken([message(" Add_To Cart ")], rules("normalise"))
    assert event.event_type == "add-to-cart"
    assert notes(event, "normalise") == {"event_type": " Add_To Cart "}


async def test_ids_lose_white_space_and_get_one_unicode_form():
    decomposed = "Cafe\u0301"
    (event,) = await taken([message(user_id=f" {decomposed} ", items=["i1 "])], rules("normalise"))
    assert (event.user_id, event.items[0].item_id) == ("Caf\u00e9", "i1")
    assert notes(event, "normalise") == {"user_id": f" {decomposed} ", "items[0].item_id": "i1 "}


async def test_without_the_step_nothing_is_normalised():
    log = Log()
    outcomes = await intake(log, rules()).take([message("Click")])
    assert outcomes[0].violations[0].reason == "UNKNOWN_EVENT_TYPE"


async def test_a_clock_a_little_ahead_is_set_back_to_the_time_of_receipt():
    ahead = datetime.now(UTC) + timedelta(minutes=10)
    (event,) = await taken([message(event_time=ahead)], rules("clamp-clock-skew"))
    assert event.event_time == event.ingest_time
    assert notes(event, "clamp-clock-skew")["event_time"].startswith(f"{ahead:%Y-%m-%dT%H:%M}")


async def test_a_clock_far_ahead_is_refused():
    outcomes = await intake(Log(), rules("clamp-clock-skew")).take(
        [message(event_time=datetime.now(UTC) + timedelta(hours=2))]
    )
    assert outcomes[0].violations[0].field == "event_time"


async def test_a_session_lasts_until_30_idle_minutes():
    events = await taken([at(0), at(29 * 60), at(60 * 60)], rules("fill-session"))
    first, second, third = (event.session_id for event in events)
    assert first == second != third
    assert notes(events[0], "fill-session") == {"session_id": ""}


async def test_an_event_of_an_earlier_visit_gets_a_session_of_its_own():
    events = await taken([at(7200), at(0), at(7260)], rules("fill-session"))
    sessions = [event.session_id for event in events]
    assert sessions[0] == sessions[2] != sessions[1]


async def test_a_session_of_the_senders_is_gone_on_with():
    events = await taken([at(0, session_id="mine"), at(60)], rules("fill-session"))
    assert [event.session_id for event in events] == ["mine", "mine"]
    assert notes(events[0], "fill-session") == {}


async def test_two_instances_make_the_same_session_of_a_visit_they_both_see_begin():
    first, second = [await taken([at(0)], rules("fill-session")) for _ in range(2)]
    assert first[0].session_id == second[0].session_id


async def test_placement_and_device_get_their_defaults():
    (event,) = await taken([message()], rules(fill_defaults={"placement": "unknown", "device": "none"}))
    assert (event.placement, event.attributes["device"].text) == ("unknown", ["none"])
    assert set(notes(event, "fill-defaults")) == {"placement", 'attributes["device"]'}


async def test_what_the_sender_gave_is_not_defaulted():
    given = message(placement="home", attributes={"device": Attribute(text=["tv"])})
    (event,) = await taken([given], rules(fill_defaults={"placement": "unknown", "device": "none"}))
    assert (event.placement, event.attributes["device"].text) == ("home", ["tv"])
    assert notes(event, "fill-defaults") == {}


async def test_an_event_tells_how_long_the_user_stayed_with_the_one_before():
    events = await taken([at(0, event_id="a"), at(12.5, event_id="b")], rules("fill-dwell"))
    assert not events[0].HasField("previous_dwell_seconds")
    assert events[1].previous_dwell_seconds == 12.5


async def test_a_defaulted_event_time_tells_nothing_of_dwell():
    events = await taken([message(event_time=None), message(event_time=None)], rules("fill-dwell"))
    assert not any(event.HasField("previous_dwell_seconds") for event in events)


async def test_a_click_that_is_left_at_once_is_taken_back():
    events = await taken(
        [at(0, event_id="slip", items=["i1"]), at(0.2, event_id="meant", items=["i2"])],
        rules("drop-accidental-clicks"),
    )
    reversal = events[-1]
    assert (reversal.event_type, reversal.corrects_event_id) == ("reversal", "slip")
    assert (reversal.corrected_event_type, reversal.items[0].item_id) == ("click", "i1")
    assert reversal.corrected_event_time == events[0].event_time


@pytest.mark.parametrize("event_type, seconds", [("click", 5.0), ("purchase", 0.1), ("click", 0.0)])
async def test_what_was_meant_stays(event_type, seconds):
    events = [at(0, event_type, event_id="a"), at(seconds, event_id="b")]
    assert len(await taken(events, rules("drop-accidental-clicks"))) == 2


async def test_a_retried_event_is_no_accident():
    log, again = Log(), [at(0, event_id="a"), at(0, event_id="a")]
    await intake(log, rules("drop-accidental-clicks")).take(again)
    assert [event.event_id for event in written(log)] == ["a"]


async def test_an_event_time_that_was_filled_in_says_so():
    (event,) = await taken([message(event_time=None)], rules())
    assert event.event_time == event.ingest_time
    assert notes(event, "fill-event-time") == {"event_time": ""}


async def test_a_reversal_of_nothing_is_refused_by_name():
    reversal = message("reversal", items=(), corrects_event_id="unheard-of")
    outcomes = await intake(Log()).take([reversal])
    assert outcomes[0].violations[0][::2] == ("corrects_event_id", "NOT_FOUND")
