"""Every event is asked for with exactly what was known before it, and learned afterwards."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.model.answering.evaluation import CaseOptions, make_cases
from services.trainer.model.answering.stream import Stream
from services.trainer.model.mixing.learners import PopularityLearner, Unchanging
from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE, Contestant
from services.trainer.model.protocols.prequential import (
    PrequentialOptions,
    in_random_order_of_ties,
    prequential,
)
from services.trainer.model.protocols.segments import LONG_HISTORIES, NEW_ITEMS, NEW_USERS
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from tests.unit.trainer.builders import PURCHASE, VIEW, events, walks
from tests.unit.trainer.plain_prequential import HashLearner, plain_prequential

POPULAR = Contestant("popular", partial(PopularityLearner, EventRoles()), baseline=True)


def answers(columns, warm_up, contestant=POPULAR, **options):
    """The answers of one contestant by mode."""
    outcome = prequential(columns, [contestant], PrequentialOptions(warm_up, **options))
    return outcome.entries[0].answers


@st.composite
def logs(draw) -> EventColumns:
    """A few users and items; events of one or two rows, of three types, at times that also go back."""
    count = draw(st.integers(1, 24))

    def numbers(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))

    position = np.cumsum(numbers(0, 1)) + 1
    users, items = numbers(1, 4).astype(np.uint64), numbers(1, 6).astype(np.uint64)
    values = np.zeros(count, np.float32)
    return EventColumns(position, users, items, numbers(1, 3), numbers(0, 20) * 500, values)


TYPES = st.none() | st.frozensets(st.integers(1, 3), min_size=1)
ROLES = st.builds(EventRoles, history=TYPES, target=TYPES, seen=TYPES)


@given(logs(), ROLES, st.integers(0, 24), st.integers(1, 7), st.integers(1, 4))
def test_it_equals_a_plain_loop_over_events(columns, roles, warm_up, learn_every, length):
    case = CaseOptions(roles, length)
    catalogue = np.unique(columns.item_key)
    contestant = Contestant("hash", partial(HashLearner, catalogue))
    found = answers(columns, warm_up, contestant, learn_every=learn_every, case=case)
    cuts = Stream(columns, warm_up, case).chunks(learn_every)
    expected = plain_prequential(columns, HashLearner(catalogue), cuts, case)
    assert {mode: each.ranks.tolist() for mode, each in found.items()} == expected


@given(logs(), st.integers(0, 12))
def test_a_cut_asks_of_each_user_the_first_question_behind_it(columns, warm_up):
    case = CaseOptions(EventRoles(target=frozenset({1}), seen=frozenset({2})), newcomers=True)
    stream = Stream(columns, warm_up, case)
    users, first = np.unique(stream.users(stream.asked), return_index=True)
    before = len(stream.warm_up)
    cases = make_cases(columns.take(slice(0, before)), columns.take(slice(before, None)), case)
    assert cases.user_keys.tolist() == users.tolist()
    assert cases.targets.tolist() == columns.item_key[stream.asked[first]].tolist()


def test_an_event_is_learned_after_it_was_asked_for():
    # The first 6 is unknown: last of two. User 1 has seen 5. Then 6 leads by two to one; user 4 has seen 5 at last.
    found = answers(events((1, 5), (2, 6), (1, 6), (4, 5), (4, 6)), 1, learn_every=1)
    assert found[CONTINUAL].ranks[:, 0].tolist() == [2, 1, 2, 1]


def test_a_frozen_model_does_not_learn():
    # Only item 5 is known: 6 is unknown and ranks last of the items that are left.
    found = answers(events((1, 5), (2, 6), (3, 6), (3, 7)), 1, learn_every=1)
    assert found[FROZEN].ranks[:, 0].tolist() == [3, 3, 2]
    assert found[CONTINUAL].ranks[:, 0].tolist() == [3, 1, 2]


def test_what_is_unchanging_has_no_continual_answers():
    fixed = PopularityLearner(EventRoles())
    fixed.learn(events((1, 5)))
    contestant = Contestant("fixed", lambda: Unchanging(fixed.scorer()))
    assert set(answers(walks(n_users=2), 4, contestant)) == {FROZEN, STALE}


def test_stale_histories_end_with_the_warm_up_and_live_ones_with_the_question():
    stream = Stream(events((1, 5), (1, 6), (1, 7), (1, 8)), 2, CaseOptions(history_length=3))
    assert stream.cases(np.array([3])).histories.item_keys.tolist() == [[5, 6, 7]]
    stale = stream.stale_histories(np.array([3]))
    assert stale.item_keys.tolist() == [[0, 5, 6]]
    assert stale.age_seconds.tolist() == [[0.0, 1.0, 0.0]]


def test_items_that_the_user_has_seen_are_neither_asked_for_nor_ranked():
    stream = Stream(events((1, 5), (1, 6), (1, 5), (1, 7)), 1, CaseOptions())
    assert stream.asked.tolist() == [1, 3]
    assert stream.cases(stream.asked).seen_items.tolist() == [5, 5, 6, 5]


def test_views_may_leave_items_open():
    roles = EventRoles(target=frozenset({PURCHASE}), seen=frozenset({PURCHASE}))
    columns = events((1, 5), (1, 5), (1, 5), event_type=[VIEW, PURCHASE, PURCHASE])
    assert Stream(columns, 0, CaseOptions(roles)).asked.tolist() == [1]


def test_rows_of_one_event_are_asked_for_together():
    basket = replace(events((1, 5), (1, 6), (1, 7)), position=np.array([1, 2, 2]))
    stream = Stream(basket, 2, CaseOptions(history_length=2))
    assert len(stream.warm_up) == 1
    assert stream.chunks(1) == [(1, 3)]
    assert stream.cases(stream.asked).histories.item_keys.tolist() == [[0, 5], [0, 5]]


def test_users_without_any_history_are_asked_too():
    stream = Stream(events((1, 5), (2, 6)), 1, CaseOptions())
    assert stream.users(stream.asked).tolist() == [2]
    assert not stream.cases(stream.asked).histories.mask.any()


def test_segments_tell_what_was_known_before_the_question():
    columns = events(*((1, item) for item in range(1, 9)), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1))
    case = CaseOptions(history_length=6)
    segments = prequential(columns, [], PrequentialOptions(1, case=case)).segments
    assert segments[NEW_USERS].tolist() == [True] * 4 + [False] * 3 + [True] * 6
    assert segments[LONG_HISTORIES].tolist() == [False] * 5 + [True] * 2 + [False] * 6
    assert segments[NEW_ITEMS].tolist() == [True] * 7 + [True] * 4 + [False] * 2


def test_ties_of_a_second_are_drawn_by_the_seed_and_nothing_else_moves():
    columns = events(*((1, item) for item in range(1, 41)))
    tied = replace(columns, time_ms=columns.time_ms // 20_000 * 1000)
    first, again, other = (in_random_order_of_ties(tied, seed).item_key.tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first != sorted(first)
    assert sorted(first[:20]) == list(range(1, 21))


def test_what_happened_within_a_second_stays_in_the_order_of_its_times():
    columns = events(*((1, item) for item in range(1, 41)))
    quick = replace(columns, time_ms=np.arange(40))
    assert in_random_order_of_ties(quick, 0).item_key.tolist() == list(range(1, 41))


def test_a_log_that_ends_with_the_warm_up_asks_nothing():
    found = answers(walks(n_users=2), 100)
    assert {mode: len(each.ranks) for mode, each in found.items()} == {CONTINUAL: 0, FROZEN: 0, STALE: 0}


def test_lessons_are_of_at_least_one_event():
    with pytest.raises(ValueError, match="learn_every"):
        PrequentialOptions(1, learn_every=0)
