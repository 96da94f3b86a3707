"""Keys of ids, and partitions."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from shared.adapters.codecs.keys import (
    event_key,
    item_key,
    item_keys,
    partition_of,
    signed,
    unsigned,
    user_key,
)


def test_keys_are_xxh3_64_of_the_utf8_bytes_for_ever():
    assert item_key("") == 0x2D06800538D394C2
    assert item_key("Zo\u00eb") == xxh3_64_intdigest("Zo\u00eb".encode())
    assert item_keys(["", "\u00e9"]).tolist() == [item_key(""), item_key("\u00e9")]


@given(st.text(max_size=20))
def test_however_an_id_is_spelt_it_has_one_key(text):
    spellings = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")), f"  {text}\n"]
    assert len({user_key(each) for each in spellings if text.strip()}) <= 1


def test_events_have_their_ids_keys_as_they_are_spelt():
    assert event_key("a ") != event_key("a")


@given(st.integers(0, 2**64 - 1))
def test_a_key_survives_bigint(key):
    assert unsigned(signed(key)) == key
    assert -(2**63) <= signed(key) < 2**63


@given(st.text(max_size=20), st.integers(1, 64))
def test_a_user_lies_in_one_of_the_partitions(user_id, partitions):
    assert 0 <= partition_of(item_key(user_id), partitions) < partitions
