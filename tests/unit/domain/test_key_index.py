"""Rows by key, as a dictionary would hold them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.key_index import KeyIndex
from shared.domain.users.away_users import AwayUsers

KEYS = st.one_of(st.integers(0, 40), st.integers(2**63, 2**63 + 20), st.sampled_from([0, 2**64 - 1]))


def array(keys) -> np.ndarray:
    return np.array(list(keys), np.uint64)


@given(st.lists(st.tuples(st.booleans(), st.sets(KEYS, max_size=40)), max_size=12))
def test_it_holds_what_a_dictionary_holds(steps):
    index, expected, row = KeyIndex(), {}, 0
    for adds, keys in steps:
        chosen = [key for key in keys if (key in expected) != adds]
        if adds:
            rows = range(row, row + len(chosen))
            index.add(array(chosen), np.array(rows, np.int32))
            expected |= dict(zip(chosen, rows, strict=True))
            row += len(chosen)
        else:
            index.remove(array(chosen))
            for key in chosen:
                del expected[key]
        asked = sorted({*keys, *expected, 77})
        assert index.find(array(asked)).tolist() == [expected.get(key, -1) for key in asked]
        assert [index.find_one(key) for key in asked] == [expected.get(key, -1) for key in asked]
        assert len(index) == len(expected)


def test_a_hundred_thousand_keys_are_found_again():
    keys = np.unique(np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64))
    index = KeyIndex()
    for start in range(0, len(keys), 777):
        index.add(keys[start : start + 777], np.arange(start, min(start + 777, len(keys)), dtype=np.int32))
    assert (index.find(keys) == np.arange(len(keys))).all()


@given(st.lists(st.tuples(KEYS, st.integers(0, 2**256 - 1)), unique_by=lambda each: each[0], max_size=100))
def test_users_away_keep_their_digests_until_they_come_back(users):
    away = AwayUsers()
    for some in (users[:7], users[7:]):
        away.add(array(key for key, _ in some), [digest for _, digest in some])
    gone, kept = users[::2], users[1::2]
    assert all(away.remove(key) for key, _ in gone)
    assert [away.digest_of(key) for key, _ in kept] == [digest for _, digest in kept]
    assert sorted(away.keys().tolist()) == sorted(key for key, _ in kept)
    assert not any(away.remove(key) for key, _ in gone)
