"""The scorer: rows, vectors that depend on the history alone, and bundles it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.ranking.model.scorer import UNKNOWN, Scorer, aligned
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError, pack, unpack
from shared.adapters.codecs.keys import item_keys
from shared.domain.models.item_rules import GEOMETRIC, HARMONIC, ItemRules
from shared.domain.models.manifest import ENCODER_OUTPUT
from shared.domain.models.mixture import Experts, Mixture
from tests.unit.ranking.model import golden, sum_bundle, sum_encoder


def vector(rows: list[int]) -> list[float]:
    padded = np.array([rows])
    columns = aligned(padded, np.ones_like(padded), np.ones(padded.shape))
    return Scorer(sum_bundle()).user_vectors(*columns)[0].tolist()


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


def rules_to(item: int, share: float, recency: np.ndarray = HARMONIC) -> ItemRules:
    """Behind the first row comes an item."""
    total = np.ones(4, np.float32)
    return ItemRules.of_rows(np.array([0, 1, 1, 1, 1]), np.array([item]), np.array([share]), total, recency)


def with_rules(ease: ItemRules | None = None, **mixture) -> Bundle:
    """Behind the first row comes the last one, half the time."""
    made = sum_bundle()
    declared = Mixture(**{"weight": 1.0, "floor": 0.5, "event_types": (1,), **mixture})
    manifest = replace(made.manifest, mixture=declared)
    return unpack(pack(replace(made, experts=Experts(rules_to(3, 0.5), ease), manifest=manifest))[0])


def ruled(bundle: Bundle, event_type: int = 1) -> list[float]:
    scores, rows = np.zeros((1, 4), np.float32), np.array([[0]])
    Scorer(bundle).add_rules(scores, rows, np.full_like(rows, event_type))
    return scores[0].tolist()


def test_rules_of_the_bundle_are_added():
    assert ruled(with_rules()) == pytest.approx([0, 0, 0, np.log(2)])


def test_ease_of_the_bundle_is_added_and_may_call_for_more_than_rules_can():
    strong = with_rules(rules_to(2, 1.5, GEOMETRIC), ease_weight=2.0, ease_floor=1.0)
    assert ruled(strong) == pytest.approx([0, 0, 2 * np.log(2.5), np.log(2)])


def test_a_bundle_that_mixes_in_what_it_does_not_hold_is_refused():
    with pytest.raises(CorruptBundleError, match=r"ease\.npz"):
        with_rules(ease_weight=1.0)


def test_events_that_fire_no_rule_and_a_mixture_without_weight_add_nothing():
    assert (
        ruled(with_rules(), event_type=2) == ruled(with_rules(weight=0.0)) == ruled(sum_bundle()) == [0] * 4
    )


class StoredRules:
    """Rules as a bundle stores them, with a fault."""

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        self._rows = rows

    def to_rows(self) -> dict[str, np.ndarray]:
        return self._rows


@pytest.mark.parametrize(
    "fault, reason",
    [
        ({"start": np.array([0, 1, 1, 1])}, "do not fit 4 items"),
        ({"start": np.array([0, 2, 1, 1, 1])}, "do not begin where"),
        (
            {
                "start": np.array([0, 5, 5, 5, 5]),
                "follower": np.zeros(5, np.int32),
                "count": np.ones(5, np.float32),
            },
            "too many",
        ),
        ({"follower": np.array([4], np.int32)}, "items that are not there"),
        ({"count": np.array([np.nan], np.float32)}, "not finite"),
        ({"count": np.array([3], np.float32)}, "shares above 1"),
        ({"count": np.array([0], np.float32)}, "shares of 0 or less"),
        ({"total": np.full(4, np.inf, np.float32)}, "not finite"),
    ],
)
def test_a_bundle_with_bad_rules_is_refused(fault, reason):
    good = with_rules()
    with pytest.raises(CorruptBundleError, match=reason):
        rows = {**good.experts.sequence.to_rows(), **fault}
        unpack(pack(replace(good, experts=Experts(StoredRules(rows))))[0])


@pytest.mark.parametrize(
    "mixture", [{"weight": -1.0}, {"floor": 0.0}, {"ease_weight": -1.0}, {"ease_floor": 0.0}]
)
def test_a_bundle_with_a_bad_mixture_is_refused(mixture):
    with pytest.raises(CorruptBundleError, match="mixture of weight"):
        with_rules(**mixture)
