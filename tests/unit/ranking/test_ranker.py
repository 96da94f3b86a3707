"""The ranker of a bundle: what it gives, and which ones are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.ranking.model.scorer import Scorer
from shared.adapters.codecs.bundle import CorruptBundleError, pack, unpack
from shared.domain.presets.behaviours import RANKER_OUTPUT
from tests.unit.ranking.model import ranker_golden, score_ranker, sum_bundle, sum_encoder, with_ranker
from tests.unit.ranking.test_scorer import with_rules

NAN = np.full((1, 2, 2), np.nan, np.float32)


def test_a_bundle_without_a_ranker_serves():
    assert Scorer(unpack(pack(sum_bundle())[0])).ranker is None


def test_a_ranker_survives_the_bundle():
    ranker = Scorer(unpack(pack(with_ranker(sum_bundle()))[0])).ranker
    assert (ranker.objectives, ranker.given) == (("click", "purchase"), "shown")


@pytest.mark.parametrize(
    "fault, reason",
    [
        ({"ranker": b"no graph"}, "refuses the ranker"),
        ({"ranker": sum_encoder()}, "the ranker takes"),
        ({"ranker_golden": {**ranker_golden(), RANKER_OUTPUT: np.zeros((1, 2, 2), np.float32)}}, "differ"),
        ({"ranker_golden": {**ranker_golden(), RANKER_OUTPUT: NAN}}, "differ"),
        ({"ranker_golden": {**ranker_golden(), RANKER_OUTPUT: np.zeros((1, 2, 3), np.float32)}}, "golden is"),
        ({"ranker_golden": {}}, "fails on the golden inputs"),
        ({"ranker": score_ranker(5), "ranker_golden": ranker_golden(5)}, "not of 4 dimensions"),
    ],
)
def test_a_bundle_whose_ranker_does_not_pass_a_check_is_refused(fault, reason):
    with pytest.raises(CorruptBundleError, match=reason):
        Scorer(replace(with_ranker(sum_bundle()), **fault))


def test_a_ranker_that_the_manifest_does_not_explain_is_refused():
    made = with_ranker(sum_bundle())
    with pytest.raises(CorruptBundleError, match="not in the manifest"):
        Scorer(replace(made, manifest=replace(made.manifest, behaviours=None)))


def test_the_ranker_is_told_what_the_rules_add_and_no_more():
    scorer = Scorer(with_rules(weight=2.0))
    rows, items = np.array([[0], [1]]), np.array([[3, 1, -1], [3, 1, 0]])
    vectors = np.zeros((2, 4), np.float32)
    inputs = scorer.item_inputs(vectors, rows, np.ones_like(rows), items)
    added = np.zeros((2, 4), np.float32)
    scorer.add_rules(added, rows, np.ones_like(rows))
    expected = np.where(items >= 0, np.take_along_axis(added, items, axis=1), 0)
    assert expected[0, 0] > 0
    np.testing.assert_allclose(inputs.rule_score, expected)
