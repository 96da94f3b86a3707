"""A new item looks like items whose texts mean about the same, as far as texts have proved to tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.content import text_content
from shared.domain.content.new_items import NewItems
from shared.domain.content.text_content import LEAST_LESSONS, Description, TextLessons

NEW, OTHER = 1000, 1001
KINDS = np.eye(4, 6)
"""Texts of items of four kinds, and their vectors in a table."""


def kind_of(item_key: int) -> int:
    return item_key % len(KINDS)


def table(count: int = 2 * LEAST_LESSONS, equal: bool = False) -> NewItems:
    """Items 0 to `count` - 1, of four kinds in turn; equal: all look the same."""
    keys = np.arange(count, dtype=np.uint64)
    vectors = KINDS[[0 if equal else kind_of(key) for key in range(count)]].astype(np.float32)
    return NewItems(keys, vectors, np.zeros(count, np.float32))


def described(known: NewItems, count: int = 2 * LEAST_LESSONS) -> NewItems:
    """Each item of the table has a word of its own, and a text about its kind; what they teach is in use."""
    random = np.random.default_rng(0)
    for key in range(count):
        known.describe(key, [f"word {key}"], KINDS[kind_of(key)] + 0.05 * random.normal(size=6))
    if known.texts_due:
        known.use_texts(known.learn_texts())
    return known


def row(known: NewItems, item_key: int = NEW) -> np.ndarray | None:
    keys, rows, _ = known.take(100)
    return dict(zip(keys.tolist(), rows, strict=True)).get(item_key)


def test_an_item_that_shares_no_word_looks_like_those_that_mean_the_same():
    known = described(table())
    known.describe(NEW, ["nobody else's"], KINDS[2])
    assert row(known) == pytest.approx(KINDS[2], abs=0.1)


def test_before_a_few_items_have_texts_only_tags_count():
    known = described(table(), LEAST_LESSONS - 1)
    known.describe(NEW, ["word 1"], KINDS[2])
    assert not known.texts_due and row(known).tolist() == KINDS[1].tolist()


def test_an_item_without_a_text_looks_as_its_tags_say():
    known = described(table())
    known.describe(NEW, ["word 1"])
    assert row(known).tolist() == KINDS[1].tolist()


def test_texts_that_have_nothing_to_do_with_vectors_leave_what_tags_say():
    known, random = table(), np.random.default_rng(1)
    for key in range(2 * LEAST_LESSONS):
        known.describe(key, [f"kind {kind_of(key)}"], random.normal(size=6))
    known.use_texts(known.learn_texts())
    known.describe(NEW, ["kind 2"], random.normal(size=6))
    assert row(known) == pytest.approx(KINDS[2], abs=0.05)


def test_beside_tags_that_say_little_texts_count():
    known, random = table(), np.random.default_rng(1)
    for key in range(2 * LEAST_LESSONS):
        known.describe(key, ["all"], KINDS[kind_of(key)] + 0.05 * random.normal(size=6))
    known.use_texts(known.learn_texts())
    known.describe(NEW, ["all"], KINDS[2])
    assert row(known) == pytest.approx(KINDS[2], abs=0.1)


def test_an_item_that_changes_its_title_changes_its_row():
    known = described(table())
    known.describe(NEW, ["x"], KINDS[2])
    before = row(known)
    known.describe(NEW, ["x"], KINDS[2])
    assert row(known) is None
    known.describe(NEW, ["x"], KINDS[3])
    assert before.argmax() == 2 and row(known).argmax() == 3


def test_an_item_that_loses_its_text_is_told_again():
    known = described(table())
    known.describe(NEW, ["word 1"], KINDS[2])
    assert row(known) is not None and row(known) is None
    known.describe(NEW, ["word 1"])
    assert row(known) is not None


def test_rows_are_told_again_once_texts_have_been_learned():
    known = table()
    known.describe(NEW, ["nobody else's"], KINDS[2])
    assert row(known) is None
    assert row(described(known)).argmax() == 2


def test_a_table_of_equal_vectors_lends_them():
    known = described(table(equal=True))
    known.describe(NEW, ["nobody else's"], KINDS[2])
    known.describe(OTHER, ["word 1"], KINDS[2])
    assert all(each.tolist() == KINDS[0].tolist() for each in known.take(9).vectors)


def test_texts_that_are_all_the_same_tell_the_mean():
    known = table()
    for key in range(2 * LEAST_LESSONS):
        known.describe(key, [f"word {key}"], KINDS[0])
    known.use_texts(known.learn_texts())
    known.describe(NEW, ["nobody else's"], KINDS[3])
    assert row(known) == pytest.approx(KINDS.mean(axis=0), abs=1e-3)


def test_texts_are_learned_anew_when_there_are_many_more():
    known = described(table(4 * LEAST_LESSONS), LEAST_LESSONS)
    assert not known.texts_due
    for key in range(LEAST_LESSONS, 2 * LEAST_LESSONS):
        known.describe(key, ["x"], KINDS[0])
    assert known.texts_due


def test_a_text_is_wanted_of_new_items_and_once_of_the_tables():
    known = described(table(), LEAST_LESSONS)
    assert known.wants_text(NEW) and known.wants_text(LEAST_LESSONS) and not known.wants_text(0)


@given(st.permutations(range(40)))
def test_of_many_items_the_same_are_learned_from_whatever_their_order(order):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_content, "MOST_LESSONS", 10)
        lessons = TextLessons()
        for key in order:
            lessons.add(key, Description(["x"], KINDS[0]))
        assert [key for key, _ in lessons.sample()] == list(range(10))


def test_what_is_learned_does_not_depend_on_the_order_of_descriptions():
    first, second, random = table(), table(), np.random.default_rng(3)
    texts = random.normal(size=(2 * LEAST_LESSONS, 6))
    for known, order in ((first, range(len(texts))), (second, reversed(range(len(texts))))):
        for key in order:
            known.describe(key, [f"kind {kind_of(key)}"], texts[key])
        known.use_texts(known.learn_texts())
        known.describe(NEW, ["kind 1"], texts[0])
    assert row(first) == pytest.approx(row(second), abs=1e-6)
