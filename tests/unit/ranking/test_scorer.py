"""The scorer: rows, vectors that depend on the history alone, and bundles it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.ranking.scorer import UNKNOWN, Scorer
from shared.adapters.bundle import CorruptBundleError
from shared.adapters.keys import item_keys
from shared.domain.manifest import ENCODER_OUTPUT
from tests.unit.ranking.model import golden, sum_bundle, sum_encoder


def vector(rows: list[int]) -> list[float]:
    padded = np.array([rows])
    return Scorer(sum_bundle()).user_vectors(padded, np.ones_like(padded), np.ones(padded.shape))[0].tolist()


def test_rows_are_places_in_the_table_or_unknown():
    scorer = Scorer(sum_bundle())
    assert scorer.rows(scorer.item_keys).tolist() == [0, 1, 2, 3]
    assert scorer.rows(np.array([[0, 2**64 - 1]], np.uint64)).tolist() == [[UNKNOWN, UNKNOWN]]


def test_gaps_in_the_history_change_nothing():
    assert vector([0, 2]) == vector([UNKNOWN, 0, UNKNOWN, 2]) == [1, 0, 1, 0]


def test_a_history_of_unknown_items_gives_no_direction():
    assert vector([UNKNOWN, UNKNOWN]) == [0, 0, 0, 0]


def test_an_item_scores_what_the_vectors_say():
    scorer = Scorer(sum_bundle())
    assert scorer.scores(np.array([[0, 1, 0, 5]], np.float32)).tolist() == [[0, 1, 0, 5]]
    assert len(scorer.rows(item_keys(["a"]))) == 1


@pytest.mark.parametrize(
    "fault, reason",
    [
        ({"encoder": b"no graph"}, "refuses the encoder"),
        ({"golden": {**golden(), ENCODER_OUTPUT: np.zeros((1, 4), np.float32)}}, "golden outputs differ"),
        ({"golden": {**golden(), ENCODER_OUTPUT: np.full((1, 4), np.nan, np.float32)}}, "differ"),
        ({"golden": {**golden(), ENCODER_OUTPUT: np.zeros((3, 4), np.float32)}}, "golden output has"),
        ({"golden": {"mask": np.ones((1, 2), bool)}}, "fails on the golden inputs"),
        ({"encoder": sum_encoder(5), "golden": golden(5)}, "the item table has 4 dimensions"),
    ],
)
def test_a_bundle_that_does_not_pass_a_check_is_refused(fault, reason):
    with pytest.raises(CorruptBundleError, match=reason):
        Scorer(replace(sum_bundle(), **fault))
