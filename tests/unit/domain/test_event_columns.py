"""Columns of equal length, in log order."""

import dataclasses

import numpy as np
import pytest

from shared.domain.events.event_columns import EventColumns


def columns(n: int = 3, start: int = 1) -> EventColumns:
    order = np.arange(start, start + n, dtype=np.int64)
    keys = order.astype(np.uint64)
    return EventColumns(order, keys, keys, np.ones(n, np.int64), order * 1000, np.zeros(n, np.float32))


def test_length_is_the_number_of_rows():
    assert (len(columns(3)), len(EventColumns.empty())) == (3, 0)


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="2 rows, position has 3"):
        dataclasses.replace(columns(3), user_key=np.zeros(2, np.uint64))


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="item_key must be uint64"):
        dataclasses.replace(columns(3), item_key=np.zeros(3, np.int64))


def test_matrices_are_refused():
    with pytest.raises(ValueError, match="one-dimensional"):
        dataclasses.replace(columns(3), value=np.zeros((3, 1), np.float32))


def test_decreasing_positions_are_refused():
    with pytest.raises(ValueError, match="log order"):
        columns(3).take(np.array([2, 1]))


def test_an_event_of_several_items_repeats_its_position():
    assert len(dataclasses.replace(columns(3), position=np.array([4, 4, 5]))) == 3


@pytest.mark.parametrize("selection", [np.array([True, False, True]), np.array([0, 2]), slice(None, None, 2)])
def test_rows_are_taken_by_mask_index_or_slice(selection):
    assert columns(3).take(selection).position.tolist() == [1, 3]


def test_parts_are_joined_in_order():
    assert EventColumns.concatenate([columns(2), columns(2, start=3)]).position.tolist() == [1, 2, 3, 4]


def test_parts_out_of_order_are_refused():
    with pytest.raises(ValueError, match="log order"):
        EventColumns.concatenate([columns(2, start=3), columns(2)])


def test_nothing_joined_is_empty():
    assert len(EventColumns.concatenate([])) == 0
