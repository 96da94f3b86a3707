"""Ages are those of serving, whatever the order in which events came and however old they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.ranking.answers.encoding import ages_of
from services.ranking.features.user_state import UserState
from services.trainer.model.ages import ages
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.stream import Stream
from tests.unit.trainer.builders import events

TIMES = st.lists(st.integers(0, 2 * 10**12), min_size=1, max_size=6)


def served(times: list[int]) -> np.ndarray:
    none = np.zeros(len(times), np.uint64)
    return ages_of([UserState(none, none.astype(np.uint8), np.array(times), none[:0], 1)])


@given(TIMES, st.integers(0, 3))
def test_ages_are_what_serving_gives_and_padding_changes_nothing(times, padding):
    row = np.array([[0] * padding + times])
    mask = np.array([[False] * padding + [True] * len(times)])
    assert np.array_equal(ages(row, mask)[:, padding:], served(times).astype(np.float32))
    assert not ages(row, mask)[:, :padding].any()


def test_an_event_that_came_late_leaves_the_gaps_between_the_others():
    times = np.array([[1_000, 2_000, 5_000, 500]])
    assert ages(times, np.ones((1, 4), bool)).tolist() == [[4.0, 3.0, 0.0, 4.5]]


def test_gaps_of_a_user_who_was_away_for_decades_are_exact():
    columns = events((1, 5), (1, 6), (1, 7))
    columns.time_ms[:] = 0, 30_000, 40 * 365 * 86_400_000
    histories = Stream(columns, 0, CaseOptions(history_length=2)).cases(np.array([2])).histories
    assert histories.age_seconds.tolist() == [[30.0, 0.0]]


def test_nobody_has_no_ages():
    assert ages(np.zeros((0, 3), np.int64), np.zeros((0, 3), bool)).shape == (0, 3)
    assert ages(np.zeros((1, 0), np.int64), np.zeros((1, 0), bool)).shape == (1, 0)
