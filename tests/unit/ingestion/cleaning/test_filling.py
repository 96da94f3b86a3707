"""What is filled in where the sender left it out, and what is noted about it."""

from __future__ import annotations

import pytest

from freshet.event.v1.event_pb2 import Attribute
from shared.domain.presets.cleaning_steps import RefuseFloods
from tests.builders import message
from tests.unit.ingestion.cleaning.conftest import notes
from tests.unit.ingestion.cleaning.moments import NOW_MS, START_MS, at, moment, untimed


def test_an_event_without_a_time_gets_that_of_its_receipt(cleaning):
    event = cleaning().clean(untimed())
    assert event.event_time == event.ingest_time == moment(NOW_MS)
    assert notes(event) == [("receive", "event_time", "")]


def test_an_event_without_an_id_gets_one(cleaning):
    sent = at(0, event_id="")
    event = cleaning().clean(sent)
    assert event.event_id and event.event_id == sent.event_id
    assert notes(event) == [("receive", "event_id", "")]


def test_a_whole_event_is_only_stamped(cleaning):
    event = cleaning().clean(at(0))
    assert (event.event_time, event.ingest_time) == (moment(START_MS), moment(NOW_MS))
    assert notes(event) == []


def test_what_only_freshet_may_say_is_not_taken_from_a_sender(cleaning):
    sent = at(0, corrected_event_type="purchase", previous_dwell_seconds=7.0, ingest_time=moment(1))
    sent.cleaning.add(step="forged")
    sent.corrected_event_time.FromMilliseconds(1)
    event = cleaning().clean(sent)
    assert event.ingest_time == moment(NOW_MS)
    assert not (event.corrected_event_type or event.cleaning or event.HasField("corrected_event_time"))
    assert not event.HasField("previous_dwell_seconds")


@pytest.mark.parametrize("ahead_ms", [1, 3_599_000])
def test_a_clock_that_runs_ahead_is_clamped_to_the_receipt(cleaning, ahead_ms):
    sent = message(event_time=moment(NOW_MS + ahead_ms))
    original = sent.event_time.ToJsonString()
    event = cleaning("clamp-clock-skew").clean(sent)
    assert event.event_time == moment(NOW_MS)
    assert ("clamp-clock-skew", "event_time", original) in notes(event)


def test_a_clock_too_far_ahead_is_refused_as_ever(cleaning):
    sent = message(event_time=moment(NOW_MS + 3_700_000))
    assert cleaning("clamp-clock-skew").refusals(sent) == [[("event_time", "OUT_OF_RANGE")]]


def test_without_the_step_a_time_ahead_stays(cleaning):
    event = cleaning().clean(message(event_time=moment(NOW_MS + 1_000)))
    assert event.event_time == moment(NOW_MS + 1_000)


def test_placement_and_device_are_filled_in(cleaning):
    event = cleaning(fill_defaults={"placement": "home", "device": "unknown"}).clean(at(0))
    assert (event.placement, list(event.attributes["device"].text)) == ("home", ["unknown"])
    assert notes(event) == [
        ("fill-defaults", "placement", ""),
        ("fill-defaults", 'attributes["device"]', ""),
    ]


def test_what_the_sender_gave_is_not_filled_in(cleaning):
    sent = at(0, placement="cart", attributes={"device": Attribute(text=["phone"])})
    event = cleaning(fill_defaults={"placement": "home", "device": "unknown"}).clean(sent)
    assert (event.placement, list(event.attributes["device"].text)) == ("cart", ["phone"])
    assert notes(event) == []


def test_a_device_that_would_be_one_attribute_too_many_is_not_filled_in(cleaning):
    sent = at(0, attributes={str(number): Attribute(text=["x"]) for number in range(50)})
    assert len(cleaning(fill_defaults={"device": "unknown"}).clean(sent).attributes) == 50


def test_steps_that_are_not_declared_do_nothing(cleaning):
    assert notes(cleaning().clean(at(0, user_id=" u1"))) == []


def test_the_limit_of_floods_is_generous_by_default():
    assert RefuseFloods().burst > 2 * 737
