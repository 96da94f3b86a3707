"""A new item looks like its company, and before it has any, like what shares its categories and its brand."""

from __future__ import annotations

import numpy as np
import pytest

from shared.domain.content import new_items
from shared.domain.content.new_items import CONTENT_COUNTS, NewItems

A, B, C, NEW, OTHER = 1, 2, 3, 10, 11


def items() -> NewItems:
    """A and B are of one category, C of another, all of one brand."""
    table = NewItems(
        np.array([A, B, C], np.uint64), np.eye(3, dtype=np.float32), np.array([0, 1, 4], np.float32)
    )
    for key, category in ((A, "books"), (B, "books"), (C, "films")):
        table.describe(key, [category, "brand x"])
    return table


def vectors(known: NewItems, limit: int = 9) -> dict[int, list[float]]:
    keys, rows, _ = known.take(limit)
    return dict(zip(keys.tolist(), rows.tolist(), strict=True))


def test_content_gives_a_vector_to_an_item_nobody_has_touched():
    known = items()
    known.describe(NEW, ["books"])
    assert vectors(known) == {NEW: [0.5, 0.5, 0]}


def test_a_category_whose_items_are_alike_says_more_than_one_that_all_items_have():
    table = np.array([[1, 0], [0.9, 0], [0, 1], [0, 0.9], [0.5, 0.5]], np.float32)
    known = NewItems(np.arange(1, 6, dtype=np.uint64), table, np.zeros(5, np.float32))
    for key in range(1, 6):
        known.describe(key, ["brand x", "books" if key <= 2 else "films"])
    known.describe(NEW, ["books", "brand x"])
    first, second = vectors(known)[NEW]
    mean_of_both = (0.95 + table[:, 0].mean()) / 2
    assert first > mean_of_both > second


def test_a_tag_that_a_single_item_has_says_less_than_one_of_many_that_are_alike():
    table = np.array([[1, 0]] * 5 + [[0, 1]], np.float32)
    known = NewItems(np.arange(1, 7, dtype=np.uint64), table, np.zeros(6, np.float32))
    for key in range(1, 7):
        known.describe(key, ["often"] if key < 6 else ["once"])
    known.describe(NEW, ["often", "once"])
    assert vectors(known)[NEW][0] > 0.8


def test_a_table_of_equal_vectors_lends_them():
    known = NewItems(np.array([A, B], np.uint64), np.ones((2, 2), np.float32), np.zeros(2, np.float32))
    known.describe(A, ["books"])
    known.describe(NEW, ["books"])
    assert vectors(known) == {NEW: [1, 1]}


def test_company_counts_beside_content_by_its_number():
    known = items()
    known.describe(NEW, ["books"])
    known.meet(NEW, [C, C])
    share = 2 / (2 + CONTENT_COUNTS)
    assert vectors(known)[NEW] == pytest.approx([0.5 * (1 - share), 0.5 * (1 - share), share])


def test_an_item_without_content_is_the_mean_of_its_company():
    known = items()
    known.describe(NEW, [])
    known.meet(NEW, [A, C, OTHER])
    assert vectors(known) == {NEW: [0.5, 0, 0.5]}


def test_a_new_item_also_meets_what_comes_behind_it():
    known = items()
    known.describe(NEW, [])
    known.meet(B, [NEW])
    assert vectors(known) == {NEW: [0, 1, 0]}


def test_an_item_has_no_row_before_it_is_described_and_then_one_of_its_company():
    known = items()
    known.meet(NEW, [A])
    known.meet(NEW, [C])
    assert vectors(known) == {} and not known.has_row(NEW)
    known.describe(NEW, [])
    assert vectors(known) == {NEW: [0.5, 0, 0.5]}


def test_of_items_that_nobody_describes_the_last_ones_met_are_remembered(monkeypatch):
    monkeypatch.setattr(new_items, "STRANGERS", 2)
    known = items()
    for key in (20, 21, 20, 22):
        known.meet(key, [A])
    for key in (20, 21, 22):
        known.describe(key, [])
    assert set(vectors(known)) == {20, 22}


def test_an_item_of_which_nothing_is_known_has_no_row():
    known = items()
    known.describe(NEW, ["nobody else's"])
    known.meet(OTHER, [NEW])
    assert vectors(known) == {} and not known.has_row(NEW)


def test_a_row_is_told_once_and_again_when_it_changes():
    known = items()
    known.describe(NEW, ["books"])
    assert vectors(known) and not vectors(known) and known.has_row(NEW)
    known.describe(NEW, ["books"])
    assert not vectors(known)
    known.meet(NEW, [C])
    assert vectors(known)


def test_rows_are_told_a_few_at_a_time():
    known = items()
    for key in range(20, 25):
        known.describe(key, ["books"])
    assert [len(vectors(known, 2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_new_item_is_taken_for_one_that_few_know():
    known = items()
    known.describe(NEW, ["films"])
    assert known.take(9).biases.tolist() == [0.5]


def test_items_of_the_table_keep_their_rows():
    known = items()
    known.meet(A, [B])
    assert vectors(known) == {} and known.has_row(A)
