"""The step normalise: one spelling of what means the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from services.ingestion.cleaning.normalise import event_word, normalise, tidy
from tests.builders import message
from tests.unit.ingestion.cleaning.conftest import notes


@pytest.mark.parametrize(
    "text", ["Add_To_Cart", "ADD-TO-CART", "add to cart", " add_to cart ", "add\u00a0to_cart"]
)
def test_an_event_type_is_known_however_it_is_spelt(text):
    event = message(text)
    normalise(event)
    assert event.event_type == "add-to-cart"


@pytest.mark.parametrize("control", ["\r", "\n", "\t", "\x1f", "\x85"])
def test_a_control_character_separates_no_words(cleaning, control):
    event = UserEvent(event_type=f"add{control}to-cart", user_id="u1", items=[EventItem(item_id="i1")])
    assert cleaning("normalise").refusals(event) == [[("event_type", "UNKNOWN_EVENT_TYPE")]]


@pytest.mark.parametrize(
    "field", ["event_id", "user_id", "session_id", "placement", "attribution_token", "query"]
)
def test_white_space_around_a_text_goes_and_the_original_stays_in_the_note(field):
    event = message(**{field: "  x1\t"})
    assert normalise(event)
    assert getattr(event, field) == "x1"
    assert notes(event) == [("normalise", field, "  x1\t")]


def test_an_item_is_noted_by_its_place():
    event = message(items=["good", " i2"])
    normalise(event)
    assert event.items[1].item_id == "i2"
    assert notes(event) == [("normalise", "items[1].item_id", " i2")]


def test_composed_and_decomposed_letters_become_the_same():
    composed, decomposed = message(user_id="Zoë"), message(user_id=unicodedata.normalize("NFD", "Zoë"))
    assert normalise(decomposed) and not normalise(composed)
    assert composed.user_id == decomposed.user_id


def test_a_clean_event_stays_as_it_is():
    event = message(event_id="e1", session_id="s1", query="red shoes")
    before = event.SerializeToString(deterministic=True)
    assert not normalise(event)
    assert event.SerializeToString(deterministic=True) == before


def test_white_space_alone_is_left_to_validation():
    event = message("search", query="  ")
    assert not normalise(event) and event.query == "  "


def test_an_id_that_nfc_would_make_too_long_is_only_trimmed():
    longest = "\u0958" * 128
    assert tidy(f" {longest} ", 128) == longest


@pytest.mark.parametrize("length", [4097, 100_000])
def test_a_text_far_too_long_is_left_to_validation(length):
    text = " " + "x" * length
    assert tidy(text, 128) == text


@given(st.text(max_size=140), st.sampled_from([16, 128]))
def test_a_tidy_text_is_tidy(text, longest):
    assert tidy(tidy(text, longest), longest) == tidy(text, longest)


@given(st.text(max_size=140))
def test_an_event_word_is_one_for_good(text):
    assert event_word(event_word(text)) == event_word(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_second_time_changes_nothing(event_type, user_id):
    event = UserEvent(event_type=event_type, user_id=user_id)
    normalise(event)
    once = event.SerializeToString()
    assert not normalise(event) and event.SerializeToString() == once
