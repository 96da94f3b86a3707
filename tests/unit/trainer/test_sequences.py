"""Events become windows; nothing is lost, nothing is learned twice in a pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.model.sequences import (
    EventRoles,
    Passing,
    by_user,
    count_batches,
    groups_of,
    occurs,
    token_batches,
    training_rows,
    windows,
)
from tests.unit.trainer.builders import PURCHASE, VIEW, events, walks


def rows_of(columns, **roles):
    return training_rows(columns, np.unique(columns.item_key), EventRoles(**roles))


def test_a_users_events_stay_in_log_order():
    users = by_user(events((2, 5), (1, 6), (2, 4), (1, 9)))
    assert users.user_keys.tolist() == [1, 2]
    assert users.item_keys.tolist() == [6, 9, 5, 4]
    assert users.offsets.tolist() == [0, 2, 4]


def test_only_first_meetings_are_targets():
    assert rows_of(events((1, 5), (1, 6), (1, 5), (2, 5))).is_target.tolist() == [True, True, False, True]


def test_an_item_stays_a_target_until_it_is_seen():
    columns = events((1, 5), (1, 5), (1, 5), event_type=[VIEW, PURCHASE, VIEW])
    assert rows_of(columns, seen=frozenset({PURCHASE})).is_target.tolist() == [True, True, False]


def test_only_target_types_are_targets():
    columns = events((1, 5), (1, 6), event_type=[VIEW, PURCHASE])
    assert rows_of(columns, target=frozenset({PURCHASE})).is_target.tolist() == [False, True]


def test_only_history_types_are_read():
    columns = events((1, 5), (1, 6), event_type=[VIEW, PURCHASE])
    assert len(rows_of(columns, history=frozenset({PURCHASE}))) == 1


def test_items_outside_the_vocabulary_are_left_out():
    rows = training_rows(events((1, 5), (1, 6), (1, 7)), np.array([5, 7], np.uint64), EventRoles())
    assert rows.item.tolist() == [0, 1]


@pytest.mark.parametrize("length", [1, 3, 50])
def test_every_event_but_the_last_is_an_input_once(length):
    rows = rows_of(walks(n_users=4, length=8))
    spans = windows(rows, length, np.random.default_rng(0))
    read = np.concatenate([np.arange(start, end) for start, end in spans])
    assert sorted(read) == sorted(set(range(len(rows))) - set(rows.offsets[1:] - 1))
    assert (spans[:, 1] - spans[:, 0]).max() <= length


def test_batches_stay_within_their_tokens():
    batches = list(token_batches(rows_of(walks()), Passing(6, 40), np.random.default_rng(0)))
    assert all(batch.mask.size <= 40 for batch in batches)


def test_a_target_is_the_item_that_followed():
    (batch,) = token_batches(
        rows_of(events((1, 5), (1, 6), (1, 7))), Passing(9, 99), np.random.default_rng(0)
    )
    assert batch.item.tolist() == [[0, 1]]
    assert batch.target.tolist() == [[1, 2]]
    assert batch.first_item.tolist() == [0]
    assert batch.age_seconds.tolist() == [[1.0, 0.0]]


def test_shorter_windows_are_padded_on_the_left():
    rows = rows_of(events((1, 5), (1, 6), (1, 7), (2, 5), (2, 6)))
    (batch,) = token_batches(rows, Passing(9, 99), np.random.default_rng(0))
    assert batch.mask.tolist() == [[False, True], [True, True]]
    assert batch.target.tolist() == [[-1, 1], [1, 2]]


def test_of_a_user_of_one_event_it_is_the_first_item_that_is_learned():
    rows = rows_of(events((1, 5), (2, 5), (2, 6), (3, 7)))
    (batch,) = token_batches(rows, Passing(9, 99), np.random.default_rng(0))
    learned = sorted(
        zip(batch.first_item.tolist(), batch.target[:, 0].tolist(), batch.mask[:, 0].tolist(), strict=True)
    )
    assert learned == [(0, -1, False), (0, 1, True), (2, -1, False)]


def test_a_user_whose_only_event_is_no_target_has_no_window():
    rows = rows_of(events((1, 5), (2, 6), event_type=[VIEW, PURCHASE]), target=frozenset({PURCHASE}))
    (batch,) = token_batches(rows, Passing(9, 99), np.random.default_rng(0))
    assert batch.first_item.tolist() == [1]


def test_equal_seeds_give_equal_batches():
    first, second = (
        list(token_batches(rows_of(walks()), Passing(4, 40), np.random.default_rng(7))) for _ in range(2)
    )
    assert all(np.array_equal(a.item, b.item) for a, b in zip(first, second, strict=True))


def test_a_target_carries_the_weight_of_its_type_and_a_negative_event_says_no():
    columns = events((1, 5), (1, 6), (1, 7), event_type=[VIEW, PURCHASE, VIEW + 2])
    rows = rows_of(columns, weights=(0.0, 0.0, 1.0, 0.0, -3.0, *[0.0] * 6, 5.0))
    assert rows.label_weight.tolist() == [1.0, 5.0, -3.0]
    assert rows.is_target.tolist() == [True, True, False]


def test_without_weights_every_target_counts_one():
    rows = rows_of(events((1, 5), (1, 6), (1, 5)))
    assert rows.label_weight.tolist() == [1.0, 1.0, 0.0]


def test_a_batch_asks_for_what_was_refused_as_well():
    columns = events((1, 5), (1, 6), (1, 7), event_type=[VIEW, VIEW + 2, VIEW])
    rows = rows_of(columns, weights=(0.0, 0.0, 2.0, 0.0, -3.0))
    (batch,) = token_batches(rows, Passing(length=4, tokens=8), np.random.default_rng(0))
    assert batch.target.tolist() == [[1, 2]]
    assert batch.label_weight.tolist() == [[-3.0, 2.0]]
    assert (batch.first_item.tolist(), batch.first_weight.tolist()) == ([0], [2.0])


def items_of(batches) -> list[int]:
    """The inputs of all windows."""
    return np.concatenate([batch.item[batch.mask] for batch in batches]).tolist()


@pytest.mark.parametrize("way", [Passing(4, 40), Passing(4, 40, learned_to=100, replay=0.5)])
def test_batches_are_counted_without_being_made(way):
    rows = rows_of(walks())
    made = sum(1 for _ in token_batches(rows, way, np.random.default_rng(3)))
    assert count_batches(rows, way, np.random.default_rng(3)) == made


def test_without_replay_only_windows_with_later_targets_are_gone_through():
    rows = rows_of(events((1, 5), (1, 6), (2, 7), (2, 8), (1, 9)))
    batches = token_batches(rows, Passing(9, 99, learned_to=4, replay=0.0), np.random.default_rng(0))
    assert items_of(batches) == [0, 1]


def test_as_many_earlier_windows_are_replayed_as_are_asked_for():
    rows = rows_of(walks(n_users=30, length=2))
    way = Passing(9, 1, learned_to=50, replay=0.5)
    assert sum(1 for _ in token_batches(rows, way, np.random.default_rng(0))) == 10 + 5


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 120))
def test_a_batch_takes_all_the_windows_that_its_tokens_allow(lengths, tokens):
    ascending = np.sort(np.array(lengths, np.int64))
    groups = groups_of(ascending, tokens)
    assert [each for first, last in groups for each in range(first, last)] == list(range(len(lengths)))
    for first, last in groups:
        assert last - first == 1 or (last - first) * ascending[last - 1] <= tokens
        assert last == len(lengths) or (last + 1 - first) * ascending[last] > tokens


@given(st.lists(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_a_key_occurs_where_it_is_one_of_them(keys, among):
    asked, ascending = np.array(keys, np.uint64), np.array(sorted(among), np.uint64)
    assert occurs(asked, ascending).tolist() == [key in among for key in keys]
