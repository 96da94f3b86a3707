"""A linear map from texts to vectors that knows how well it does on what it has not seen."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.content.text_map import fit_text_map

NUMBERS = st.integers(min_value=-8, max_value=8)


@st.composite
def described(draw, least: int = 3):
    """Texts (N, E) and vectors (N, D) of a few items; some are alike."""
    items, numbers, dimension = draw(st.integers(least, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rows = st.lists(NUMBERS, min_size=items * (numbers + dimension), max_size=items * (numbers + dimension))
    table = np.array(draw(rows), np.float64).reshape(items, -1)
    return table[:, :numbers], table[:, numbers:]


def ridge_regression(texts: np.ndarray, vectors: np.ndarray, ridge: float, text: np.ndarray) -> np.ndarray:
    """What it says of a text, by least squares with rows that pull the weights, but not the intercept, to 0.

    Texts are told from their mean on, which changes the intercept alone: where all are the same, least squares could
    else hardly tell it from the weights, and would be wrong itself by 1e-4.
    """
    items, numbers = texts.shape
    mean = texts.mean(axis=0)
    texts, text = texts - mean, text - mean
    pull = np.c_[np.sqrt(ridge) * np.eye(numbers), np.zeros((numbers, 1))]
    left = np.r_[np.c_[texts, np.ones((items, 1))], pull]
    right = np.r_[vectors, np.zeros((numbers, vectors.shape[1]))]
    return np.r_[text, 1.0] @ np.linalg.lstsq(left, right, rcond=None)[0]


def test_what_follows_from_texts_is_learned():
    random = np.random.default_rng(0)
    texts, weights = random.normal(size=(200, 5)), random.normal(size=(5, 3))
    fitted = fit_text_map(texts, texts @ weights + 7.0)
    new = random.normal(size=(9, 5))
    assert fitted.map.vectors(new) == pytest.approx(new @ weights + 7.0, abs=0.01)


def test_of_vectors_that_have_nothing_to_do_with_texts_little_is_learned():
    random = np.random.default_rng(0)
    texts, vectors = random.normal(size=(60, 40)), random.normal(size=(60, 8))
    by_mean = np.mean((vectors - vectors.mean(axis=0)) ** 2)
    assert np.mean((fit_text_map(texts, vectors).left_out - vectors) ** 2) < 1.1 * by_mean


@given(described())
@example((np.ones((3, 1)), np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])))
def test_a_map_is_the_ridge_regression_of_all_items(items):
    texts, vectors = items
    fitted = fit_text_map(texts, vectors)
    expected = ridge_regression(texts, vectors, fitted.ridge, texts[0] + 1.0)
    assert fitted.map.vectors(texts[0] + 1.0) == pytest.approx(expected, abs=1e-4)


@given(described())
def test_an_item_is_left_out_as_if_the_map_had_been_learned_without_it(items):
    texts, vectors = items
    fitted = fit_text_map(texts, vectors)
    others = np.arange(len(texts)) > 0
    expected = ridge_regression(texts[others], vectors[others], fitted.ridge, texts[0])
    assert fitted.left_out[0] == pytest.approx(expected, abs=1e-3)


@given(described(), st.randoms(use_true_random=False))
def test_the_order_of_items_makes_no_difference(items, random):
    texts, vectors = items
    order = random.sample(range(len(texts)), len(texts))
    first, second = fit_text_map(texts, vectors), fit_text_map(texts[order], vectors[order])
    assert first.ridge == pytest.approx(second.ridge)
    assert first.left_out[order] == pytest.approx(second.left_out, abs=1e-4)


@given(described(), NUMBERS)
def test_texts_that_are_all_the_same_tell_the_mean(items, number):
    _, vectors = items
    fitted = fit_text_map(np.full((len(vectors), 2), float(number)), vectors)
    assert fitted.map.vectors(np.array([3.0, 4.0])) == pytest.approx(vectors.mean(axis=0), abs=1e-6)


@given(described(), NUMBERS)
def test_vectors_that_are_all_the_same_are_told_of_every_text(items, number):
    texts, vectors = items
    fitted = fit_text_map(texts, np.full_like(vectors, float(number)))
    assert np.all(fitted.map.vectors(texts + 1.0) == number) and np.all(fitted.left_out == number)


def test_a_single_item_teaches_nothing():
    with pytest.raises(ValueError, match="2 items"):
        fit_text_map(np.ones((1, 2)), np.ones((1, 2)))
