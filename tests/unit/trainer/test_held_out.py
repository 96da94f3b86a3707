"""Learn what is before, be asked once per user."""

from functools import partial

import numpy as np
import pytest

from services.trainer.model.answering.evaluation import CaseOptions, leave_one_out
from services.trainer.model.mixing.learners import PopularityLearner
from services.trainer.model.protocols.held_out import LEAVE_ONE_OUT, TEMPORAL, Cut, judge_held_out, temporal
from services.trainer.model.protocols.outcome import Contestant
from services.trainer.model.protocols.segments import LONG_HISTORIES, NEW_ITEMS, NEW_USERS
from services.trainer.model.sequences import EventRoles
from tests.unit.trainer.builders import events, walks

POPULAR = Contestant("popular", partial(PopularityLearner, EventRoles()), baseline=True)
ALL_USERS = CaseOptions(newcomers=True)


def test_leave_one_out_ranks_by_what_all_others_did():
    # Before: 5 twice, 6 twice, 7 once. User 1 has seen 5 and is asked for 7: only 6 is ahead.
    columns = events((1, 5), (2, 5), (2, 6), (3, 6), (3, 7), (1, 7), (2, 7), (3, 5))
    outcome = judge_held_out(LEAVE_ONE_OUT, leave_one_out(columns), [POPULAR], CaseOptions())
    assert outcome.entries[0].answers[""].ranks[:, 0].tolist() == [2, 1, 1]
    assert (outcome.learned_events, outcome.catalogue_items) == (5, 3)


def test_leave_one_out_holds_out_nothing_that_a_model_has_learned():
    split = leave_one_out(events((1, 5), (1, 6), (2, 5), (2, 6)), ALL_USERS, later_than=2)
    assert split.cases.user_keys.tolist() == [2]
    assert len(split.train) == 3


def test_a_cut_in_time_asks_for_the_next_item_of_each_user():
    split = temporal(events((1, 5), (2, 5), (1, 6), (1, 7), (2, 8)), Cut(time_ms=2000), ALL_USERS)
    assert split.cases.targets.tolist() == [6, 8]
    assert len(split.train) == 2


def test_a_cut_by_share_holds_out_the_newest():
    split = temporal(walks(n_users=10, length=10), Cut(share=0.25), ALL_USERS)
    assert (len(split.train), len(split.held_out)) == (75, 25)


@pytest.mark.parametrize("share", [0.7, 0.8, 0.9])
def test_a_cut_by_share_is_no_row_off_where_floats_round_down(share):
    split = temporal(events(*((1, item) for item in range(10))), Cut(share=share), ALL_USERS)
    assert len(split.held_out) == round(10 * share)


def test_a_cut_takes_no_event_apart():
    columns = events((1, 5), (1, 6), (1, 7), (1, 8))
    columns.position[:] = [1, 2, 2, 2]
    assert len(temporal(columns, Cut(share=0.3), ALL_USERS).train) == 1


def test_users_who_come_after_the_cut_are_asked_too():
    split = temporal(events((1, 5), (2, 5)), Cut(share=0.5), ALL_USERS)
    assert split.cases.user_keys.tolist() == [2]


@pytest.mark.parametrize("share", [0.0, 1.0, np.nan])
def test_a_share_lies_between_nothing_and_everything(share):
    with pytest.raises(ValueError, match="share"):
        Cut(share=share)


def test_segments_count_what_was_before_the_cut():
    columns = events(
        *((1, item) for item in range(1, 8)), *((user, 7) for user in range(2, 7)), (1, 8), (9, 7)
    )
    options = CaseOptions(history_length=7, newcomers=True)
    split = temporal(columns, Cut(time_ms=12_000), options)
    segments = judge_held_out(TEMPORAL, split, [], options).segments
    assert split.cases.targets.tolist() == [8, 7]
    assert segments[NEW_USERS].tolist() == [False, True]
    assert segments[NEW_ITEMS].tolist() == [True, False]
    assert segments[LONG_HISTORIES].tolist() == [True, False]
