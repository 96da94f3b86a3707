"""The best of a score table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ranking.top import top_rows

SCORES = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), max_size=30)


@given(SCORES, st.integers(0, 40))
def test_it_is_what_sorting_everything_gives(scores, limit):
    expected = sorted(
        (place for place, score in enumerate(scores) if score > -np.inf), key=lambda p: -scores[p]
    )
    assert sorted_by_score(scores, limit) == [scores[place] for place in expected[:limit]]


def sorted_by_score(scores: list[float], limit: int) -> list[float]:
    return [scores[place] for place in top_rows(np.array(scores, np.float32), limit)]


@pytest.mark.parametrize("limit", [3, 10])
def test_equal_scores_come_in_the_order_of_their_places(limit):
    assert top_rows(np.array([1, 2, 2, 1], np.float32), limit).tolist()[:3] == [1, 2, 0]


def test_ties_at_the_cut_go_to_the_earlier_place():
    assert top_rows(np.zeros(50, np.float32), 5).tolist() == [0, 1, 2, 3, 4]


def test_what_is_withheld_is_not_given():
    assert top_rows(np.array([-np.inf, 1, -np.inf], np.float32), 3).tolist() == [1]
