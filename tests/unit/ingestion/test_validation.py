"""What may not enter the log, and that the field at fault is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import Attribute, EventItem, UserEvent
from services.ingestion.validation import EventTimeBounds, event_violations, item_violations
from shared.domain.events.event import EVENT_TYPE_BY_WORD, ITEMLESS_EVENT_TYPES
from tests.builders import catalogue_item, message

NOW = datetime(2025, 6, 1, tzinfo=UTC)
BOUNDS = EventTimeBounds.since_year(1990, 3600)


def found(event: UserEvent) -> list[tuple[str, str]]:
    """Fields and reasons."""
    return [(each.field, each.reason) for each in event_violations(event, BOUNDS, NOW.timestamp())]


def with_items(*items: EventItem) -> UserEvent:
    return UserEvent(event_type="click", user_id="u1", items=items)


def corrected(word: str) -> str:
    """What a reversal has to name."""
    return "e1" if word == "reversal" else ""


def test_only_a_reversal_names_what_it_corrects():
    assert found(message("reversal", items=())) == [("corrects_event_id", "REQUIRED")]
    assert found(message("click", corrects_event_id="e1")) == [("corrects_event_id", "OUT_OF_RANGE")]


@pytest.mark.parametrize("word", EVENT_TYPE_BY_WORD)
def test_every_type_of_the_vocabulary_is_accepted(word):
    assert found(message(word, query="shoes", corrects_event_id=corrected(word))) == []


@pytest.mark.parametrize("event_type", sorted(ITEMLESS_EVENT_TYPES))
def test_some_types_need_no_items(event_type):
    event = message(event_type.word, items=(), query="shoes", corrects_event_id=corrected(event_type.word))
    assert found(event) == []


def test_what_a_sender_may_leave_out_is_no_fault():
    assert found(UserEvent(event_type="click", user_id="u1", items=[EventItem(item_id="i1")])) == []


@pytest.mark.parametrize(
    "event, field, reason",
    [
        (message(""), "event_type", "REQUIRED"),
        (message("stare"), "event_type", "UNKNOWN_EVENT_TYPE"),
        (message("CLICK"), "event_type", "UNKNOWN_EVENT_TYPE"),
        (message("click.x"), "event_type", "UNKNOWN_EVENT_TYPE"),
        (message(user_id=""), "user_id", "REQUIRED"),
        (message(user_id="  "), "user_id", "REQUIRED"),
        (message(user_id="u" * 129), "user_id", "OUT_OF_RANGE"),
        (message(user_id="a\nb"), "user_id", "INVALID_CHARACTERS"),
        (message(event_id="a b"), "event_id", "INVALID_CHARACTERS"),
        (message(event_id="é"), "event_id", "INVALID_CHARACTERS"),
        (message(event_id="a\r\nNats-Rollup: all"), "event_id", "INVALID_CHARACTERS"),
        (message(event_id="e" * 129), "event_id", "INVALID_CHARACTERS"),
        (message(session_id="s" * 129), "session_id", "OUT_OF_RANGE"),
        (message(placement="p\x00"), "placement", "INVALID_CHARACTERS"),
        (message(attribution_token="t" * 129), "attribution_token", "OUT_OF_RANGE"),
        (message(query="q" * 1025), "query", "OUT_OF_RANGE"),
        (message("search", items=()), "query", "REQUIRED"),
        (message(items=()), "items", "REQUIRED"),
        (message(items=["i"] * 101), "items", "OUT_OF_RANGE"),
    ],
)
def test_a_bad_field_is_named(event, field, reason):
    assert found(event) == [(field, reason)]


@pytest.mark.parametrize(
    "item, field, reason",
    [
        (EventItem(), "items[1].item_id", "REQUIRED"),
        (EventItem(item_id="i" * 129), "items[1].item_id", "OUT_OF_RANGE"),
        (EventItem(item_id="a", quantity=-1), "items[1].quantity", "OUT_OF_RANGE"),
        (EventItem(item_id="a", position=-1), "items[1].position", "OUT_OF_RANGE"),
        (EventItem(item_id="a", value=float("nan")), "items[1].value", "OUT_OF_RANGE"),
        (EventItem(item_id="a", value=float("inf")), "items[1].value", "OUT_OF_RANGE"),
        (EventItem(item_id="a", value=-1e39), "items[1].value", "OUT_OF_RANGE"),
    ],
)
def test_a_bad_item_is_named_by_its_place(item, field, reason):
    assert found(with_items(EventItem(item_id="good"), item)) == [(field, reason)]


@pytest.mark.parametrize(
    "moment",
    [datetime(1970, 1, 1, tzinfo=UTC), datetime(1989, 12, 31, tzinfo=UTC), NOW + timedelta(days=365)],
)
def test_1970_and_next_year_are_no_event_times(moment):
    assert found(message(event_time=moment)) == [("event_time", "OUT_OF_RANGE")]


@pytest.mark.parametrize("moment", [datetime(1990, 1, 1, tzinfo=UTC), NOW, NOW + timedelta(minutes=59)])
def test_times_within_the_bounds_are_accepted(moment):
    assert found(message(event_time=moment)) == []


@pytest.mark.parametrize("seconds", [-(2**62), 2**62])
def test_a_time_beyond_any_calendar_is_refused_in_words(seconds):
    assert found(message(event_time=Timestamp(seconds=seconds))) == [("event_time", "OUT_OF_RANGE")]


def test_nanos_beyond_a_second_are_named():
    event = message(event_time=Timestamp(seconds=1_700_000_000, nanos=2_000_000_000))
    assert found(event) == [("event_time.nanos", "OUT_OF_RANGE")]


@pytest.mark.parametrize(
    "key, attribute, field",
    [
        ("page", Attribute(text=["x" * 10_000_000]), 'attributes["page"]'),
        ("page", Attribute(numbers=[float("nan")]), 'attributes["page"]'),
        ("", Attribute(text=["x"]), 'attributes[""]'),
        ("k" * 65, Attribute(text=["x"]), f'attributes["{"k" * 64}"]'),
    ],
)
def test_a_bad_attribute_is_named(key, attribute, field):
    assert found(message(attributes={key: attribute})) == [(field, "OUT_OF_RANGE")]


def test_too_many_attributes_are_refused():
    attributes = {str(number): Attribute(text=["x"]) for number in range(51)}
    assert found(message(attributes=attributes)) == [("attributes", "OUT_OF_RANGE")]


def test_all_bad_fields_are_named_at_once():
    fields = [field for field, _ in found(UserEvent(event_type="stare", session_id="\x01"))]
    assert fields == ["event_type", "user_id", "session_id"]


@pytest.mark.parametrize(
    "item, field",
    [
        (catalogue_item(""), "item_id"),
        (catalogue_item(title="t" * 1025), "title"),
        (catalogue_item(brand="b" * 129), "brand"),
        (catalogue_item(price=-1), "price"),
        (catalogue_item(price=float("nan")), "price"),
        (catalogue_item(categories=["c"] * 51), "categories"),
        (catalogue_item(categories=["good", "c" * 129]), "categories[1]"),
        (catalogue_item(attributes={"a": Attribute(text=["x" * 20_000])}), 'attributes["a"]'),
    ],
)
def test_a_bad_field_of_an_item_is_named(item, field):
    assert [each.field for each in item_violations(item)] == [field]


def test_a_good_item_is_accepted():
    assert item_violations(Item(item_id="i1")) == item_violations(catalogue_item(price=0)) == []
