"""Items in like company start close to each other."""

import numpy as np

from services.trainer.model.fitting.initialisation import (
    cooccurrence,
    grown_vectors,
    item_biases,
    item_vectors,
)
from services.trainer.model.sequences import EventRoles, training_rows
from tests.unit.trainer.builders import events, walks


def rows_of(columns):
    return training_rows(columns, np.unique(columns.item_key), EventRoles())


def test_company_is_counted_within_a_user_and_window():
    counts = cooccurrence(rows_of(events((1, 5), (1, 6), (1, 7), (2, 5))), 3, window=1)
    assert counts.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_neighbours_start_closer_than_strangers():
    columns = walks(n_users=200, n_items=40, length=4)
    vectors = item_vectors(rows_of(columns), 40, 16, np.random.default_rng(0))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit[:-1] * unit[1:]).sum(1).mean() > (unit[:20] * unit[20:]).sum(1).mean() + 0.3


def test_a_catalogue_smaller_than_the_width_is_fine():
    vectors = item_vectors(rows_of(walks(n_items=3)), 3, 16, np.random.default_rng(0))
    assert vectors.shape == (3, 16)
    assert np.isfinite(vectors).all()


def test_biases_follow_popularity():
    biases = item_biases(rows_of(events((1, 5), (2, 5), (3, 5), (3, 6))), 2)
    assert biases[0] > biases[1]


def test_a_new_item_starts_as_the_mean_of_its_company():
    rows = rows_of(events((1, 5), (1, 6), (1, 7)))
    grown = grown_vectors(rows, np.array([True, False, True]), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    assert grown.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
