"""Examples of behaviours: which showing a behaviour belongs to, what is not known yet, and what is seen before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.model.behaviours.examples import (
    LEAST_SHOWINGS,
    WINDOW_SECONDS,
    Examples,
    given_of,
    shown_examples,
)
from services.trainer.model.behaviours.inputs import histories_before
from services.trainer.model.behaviours.sampling import NEGATIVES, sampled_examples
from services.trainer.model.sequences import EventRoles, has_type
from shared.domain.events.event import EventType
from shared.domain.events.event_columns import EventColumns
from shared.domain.presets.behaviours import SHOWN, VIEWED, objectives_of
from tests.builders import VIDEO

SHOW, VIEW, CLICK, PURCHASE = (
    int(each) for each in (EventType.VIEW_ITEM_LIST, EventType.VIEW_ITEM, EventType.CLICK, EventType.PURCHASE)
)
LABELS_OF = [frozenset({CLICK}), frozenset({PURCHASE})]
HOUR = 3600.0


def log(*rows: tuple[int, int, int, float]) -> EventColumns:
    """One event per (user, item, type, seconds), at positions 1, 2, ..."""
    user, item, kind, seconds = np.array(rows, float).reshape(-1, 4).T
    return EventColumns(
        np.arange(1, len(rows) + 1),
        user.astype(np.uint64),
        item.astype(np.uint64),
        kind.astype(np.int64),
        (seconds * 1000).astype(np.int64),
        np.full(len(rows), np.nan, np.float32),
    )


def labelled(columns: EventColumns, objective: int = 0) -> list[int]:
    """Positions of showings that led to the behaviour."""
    examples = shown_examples(columns, LABELS_OF, SHOWN)
    return examples.position[examples.labels[:, objective]].tolist()


def test_a_behaviour_belongs_to_the_last_showing_before_it():
    assert labelled(log((1, 7, SHOW, 0), (1, 7, SHOW, 1), (1, 7, CLICK, 2), (1, 7, SHOW, 3))) == [2]


@pytest.mark.parametrize("other", [(2, 7, SHOW, 0), (1, 8, SHOW, 0), (1, 7, VIEW, 0)])
def test_what_another_user_saw_or_another_item_or_a_view_leads_to_nothing(other):
    assert labelled(log(other, (1, 7, CLICK, 1))) == []


def test_after_the_window_a_behaviour_comes_of_nothing():
    day = WINDOW_SECONDS
    assert labelled(log((1, 7, SHOW, 0), (1, 7, CLICK, day))) == [1]
    assert labelled(log((1, 7, SHOW, 0), (1, 7, CLICK, day + 1))) == []


def test_each_objective_has_labels_of_its_own():
    columns = log((1, 7, SHOW, 0), (1, 7, CLICK, 1), (1, 8, SHOW, 2), (1, 8, PURCHASE, 3))
    assert (labelled(columns, 0), labelled(columns, 1)) == ([1], [3])


def test_a_showing_is_asked_about_once_behaviours_would_have_come():
    columns = log(
        (1, 1, SHOW, 0), (1, 1, CLICK, HOUR), (2, 2, SHOW, 2 * HOUR), (3, 3, SHOW, 2.5 * HOUR), (4, 4, SHOW, 3 * HOUR)
    )  # fmt: skip
    examples = shown_examples(columns, LABELS_OF, SHOWN)
    assert examples.asked[:, 0].tolist() == [True, True, False, False]


def test_an_item_listed_twice_in_one_event_is_one_showing():
    columns = log((1, 7, SHOW, 0), (1, 7, SHOW, 0))
    columns.position[1] = 1
    assert len(shown_examples(columns, LABELS_OF, SHOWN)) == 1


def plainly(columns: EventColumns) -> list[tuple[int, bool]]:
    """Position of each showing, and whether it was clicked: by walking through the log."""
    clicked: dict[int, bool] = {}
    last: dict[tuple[int, int], int] = {}
    times = dict(zip(columns.position.tolist(), columns.time_ms.tolist(), strict=True))
    rows = zip(columns.position, columns.user_key, columns.item_key, columns.event_type, strict=True)
    for position, user, item, kind in (tuple(map(int, row)) for row in rows):
        if kind == SHOW:
            last[user, item], clicked[position] = position, False
        elif kind == CLICK and (user, item) in last:
            shown = last[user, item]
            clicked[shown] |= times[position] - times[shown] <= WINDOW_SECONDS * 1000
    return sorted(clicked.items())


ROW = st.tuples(
    st.integers(1, 2),
    st.integers(1, 2),
    st.sampled_from([SHOW, CLICK, PURCHASE]),
    st.sampled_from([0.0, 1.0, WINDOW_SECONDS, 2 * WINDOW_SECONDS]),
)


@given(st.lists(ROW, min_size=1, max_size=25))
def test_labels_are_those_of_a_walk_through_the_log(rows):
    columns = log(*rows)
    examples = shown_examples(columns, LABELS_OF, SHOWN)
    found = zip(examples.position.tolist(), examples.labels[:, 0].tolist(), strict=True)
    assert list(found) == plainly(columns)


@pytest.mark.parametrize(
    "kinds, expected",
    [
        ([SHOW] * LEAST_SHOWINGS + [VIEW] * LEAST_SHOWINGS, SHOWN),
        ([SHOW] * (LEAST_SHOWINGS - 1) + [VIEW] * LEAST_SHOWINGS, VIEWED),
        ([CLICK] * 2 * LEAST_SHOWINGS, ""),
    ],
)
def test_the_first_kind_of_showing_that_there_is_enough_of_counts(kinds, expected):
    assert given_of(log(*((1, 1, kind, 0) for kind in kinds))) == expected


def asked_of(user: int, position: int, seconds: float) -> Examples:
    none = np.zeros((1, 1), bool)
    found = (np.array([user], np.uint64), np.array([1], np.uint64), np.array([position]))
    return Examples(*found, np.array([int(seconds * 1000)]), none, none, 1.0, SHOWN)


@given(st.lists(ROW, min_size=1, max_size=25), st.integers(1, 3), st.integers(0, 30))
def test_a_history_is_what_lies_before_the_showing_in_the_log(rows, user, position):
    columns, roles = log(*rows), EventRoles(history=frozenset({CLICK, PURCHASE}))
    found = histories_before(columns, asked_of(user, position, WINDOW_SECONDS), roles, 4)
    kept = has_type(columns.event_type, roles.history)
    kept &= (columns.user_key == user) & (columns.position < position)
    expected = columns.take(kept).take(slice(-4, None))
    mask = found.mask[0]
    assert mask.tolist() == [False] * (4 - len(expected)) + [True] * len(expected)
    assert found.item_keys[0, mask].tolist() == expected.item_key.tolist()
    assert found.event_type[0, mask].tolist() == expected.event_type.tolist()
    ages = (expected.time_ms.max(initial=0) - expected.time_ms) / 1000.0
    assert found.age_seconds[0, mask].tolist() == ages.tolist()


def test_without_showings_each_behaviour_stands_beside_other_items():
    items = np.arange(1, 101, dtype=np.uint64)
    columns = log((1, 7, CLICK, 0), (2, 8, PURCHASE, 1), (3, 999, CLICK, 2))
    examples = sampled_examples(columns, LABELS_OF, items, seed=0)
    assert len(examples) == 2 * (NEGATIVES + 1)
    assert examples.item_key[examples.labels[:, 0]].tolist() == [7]
    others = examples.take(~examples.labels.any(axis=1))
    assert not ((others.user_key == 1) & (others.item_key == 7)).any()
    assert np.array_equal(examples.asked[:, 0], examples.user_key == 1)


def test_of_a_single_item_there_is_no_example():
    columns = log_of_one_item()
    assert (
        len(sampled_examples(columns, [frozenset({int(EventType.CLICK)})], np.array([7], np.uint64), 0)) == 0
    )


def log_of_one_item() -> EventColumns:
    position = np.arange(1, 6)
    keys, kinds = np.full(5, 7, np.uint64), np.full(5, int(EventType.CLICK))
    return EventColumns(
        position, position.astype(np.uint64), keys, kinds, position * 1000, np.full(5, np.nan, np.float32)
    )


def test_a_sampled_row_stands_for_all_that_were_not_drawn():
    items = np.arange(1, 101, dtype=np.uint64)
    examples = sampled_examples(log((1, 7, CLICK, 0)), LABELS_OF, items, seed=0)
    assert examples.weights[:, 0].sum() == pytest.approx(len(items))


def test_objectives_are_those_of_the_preset():
    objectives = objectives_of(VIDEO)
    assert objectives["click"] == {EventType.CLICK, EventType.AD_CLICK}
    assert list(objectives) == sorted(objectives)
    assert "" not in objectives
