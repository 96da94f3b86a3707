"""The best of a score table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from services.ranking.answers.top import top_rows

SCORES = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), max_size=30)
TABLES = arrays_of.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(0, 400)),
    elements=st.one_of(st.sampled_from([-np.inf, 0.0, 2.0]), st.floats(-5, 5, width=32)),
)


def top(scores: Sequence[float], limit: int) -> list[int]:
    """Of one user."""
    return top_rows(np.array([scores], np.float32), [limit])[0].tolist()


def sorted_out(scores: Sequence[float], limit: int) -> list[int]:
    """The same by sorting everything."""
    places = (place for place, score in enumerate(scores) if score > -np.inf)
    return sorted(places, key=lambda place: -scores[place])[:limit]


@given(SCORES, st.integers(0, 40))
def test_it_is_what_sorting_everything_gives(scores, limit):
    assert top(scores, limit) == sorted_out(scores, limit)


@given(TABLES, st.data())
def test_each_user_gets_what_they_would_get_alone(scores, data):
    limits = data.draw(st.lists(st.integers(0, 60), min_size=len(scores), max_size=len(scores)))
    expected = [sorted_out(row, limit) for row, limit in zip(scores, limits, strict=True)]
    assert [places.tolist() for places in top_rows(scores, limits)] == expected


@pytest.mark.parametrize("limit", [3, 10])
def test_equal_scores_come_in_the_order_of_their_places(limit):
    assert top([1, 2, 2, 1], limit)[:3] == [1, 2, 0]


def test_ties_at_the_cut_go_to_the_earlier_place():
    assert top([0.0] * 50, 5) == [0, 1, 2, 3, 4]


def test_what_is_withheld_is_not_given():
    assert top([-np.inf, 1, -np.inf], 3) == [1]


def test_of_a_hundred_thousand_the_best_are_found():
    scores = np.random.default_rng(0).standard_normal((2, 100_003)).astype(np.float32)
    found = top_rows(scores, [20, 500])
    assert [places.tolist() for places in found] == [
        np.argsort(-row, kind="stable")[: len(places)].tolist()
        for row, places in zip(scores, found, strict=True)
    ]
    assert [len(places) for places in found] == [20, 500]
