"""The table grows behind those who hold it, and changes in place where they look."""

from __future__ import annotations

import numpy as np

from services.ranking.model.item_table import UNKNOWN, ItemTable


def table() -> ItemTable:
    keys = np.array([10, 20, 30], np.uint64)
    return ItemTable(keys, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))


def set_rows(before: ItemTable, *keys: int, value: float = 1.0) -> ItemTable:
    vectors = np.full((len(keys), 3), value, np.float32)
    return before.with_rows(np.array(keys, np.uint64), vectors, np.full(len(keys), value, np.float32))


def test_new_items_come_behind_the_others_and_are_found():
    longer = set_rows(set_rows(table(), 25, 5), 15)
    wanted = np.array([[5, 10, 15], [25, 30, 99]], np.uint64)
    assert longer.rows(wanted).tolist() == [[4, 0, 5], [3, 2, UNKNOWN]]
    assert longer.keys.tolist() == [10, 20, 30, 25, 5, 15]


def test_a_held_table_keeps_its_items():
    held = table()
    longer = held
    for key in range(100, 130):
        longer = set_rows(longer, key)
    assert (len(held), held.columns.shape, len(longer), longer.columns.shape) == (3, (3, 3), 33, (3, 33))
    assert held.rows(np.array([100], np.uint64)).tolist() == [UNKNOWN]


def test_a_row_that_is_there_changes_in_place_on_both_sides():
    held = table()
    assert set_rows(held, 20, value=7.0) is held
    assert held.vectors(np.array([1])).tolist() == [[7, 7, 7]]
    assert held.columns[:, 1].tolist() == [7, 7, 7] and held.biases.tolist() == [0, 7, 0]


def test_an_unknown_row_has_no_direction():
    assert set_rows(table(), 40).vectors(np.array([UNKNOWN, 3])).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_the_arrays_that_it_was_made_of_stay_as_they_were():
    vectors, biases = np.ones((1, 3), np.float32), np.zeros(1, np.float32)
    set_rows(ItemTable(np.array([9], np.uint64), vectors, biases), 9, value=5.0)
    assert vectors.tolist() == [[1, 1, 1]] and biases.tolist() == [0]
