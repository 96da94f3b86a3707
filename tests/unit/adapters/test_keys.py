"""Keys of ids, and partitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.keys import item_key, item_keys, partition_of, signed, unsigned


def test_keys_are_xxh3_64_of_the_utf8_bytes_for_ever():
    assert item_key("") == 0x2D06800538D394C2
    assert item_keys(["", "é"]).tolist() == [item_key(""), item_key("é")]


@given(st.integers(0, 2**64 - 1))
def test_a_key_survives_bigint(key):
    assert unsigned(signed(key)) == key
    assert -(2**63) <= signed(key) < 2**63


@given(st.text(max_size=20), st.integers(1, 64))
def test_a_user_lies_in_one_of_the_partitions(user_id, partitions):
    assert 0 <= partition_of(item_key(user_id), partitions) < partitions
