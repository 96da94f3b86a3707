"""Which encoder serves: the one that is wanted, or float32 and why."""

from __future__ import annotations

import numpy as np
import pytest

from services.ranking.model.precision import Precision
from services.ranking.model.scorer import Scorer
from services.ranking.settings import RankingSettings
from shared.adapters.codecs.bundle import INT8_OUTPUT, Bundle, CorruptBundleError, pack, unpack
from tests.unit.ranking.model import golden, sum_bundle, sum_encoder
from tests.unit.ranking.stepped import STEP, carrying, stepped_encoder


def served(bundle: Bundle, wanted: str) -> tuple[Precision, float]:
    """The precision, and the first number of an empty history's vector, which tells who computed it."""
    scorer = Scorer(bundle, precision=wanted)
    blank = np.full((1, 1), -1), np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32)
    return scorer.precision, float(scorer.user_vectors(*blank)[0, 0])


def test_float32_serves_unless_told():
    assert served(carrying(), "float32") == (Precision("float32"), 0.0)
    assert RankingSettings().ranking_precision == "float32"


@pytest.mark.parametrize("wanted", ["int8", "auto"])
def test_int8_serves_when_wanted_and_carried(wanted):
    assert served(carrying(), wanted) == (Precision("int8"), STEP)


def test_int8_may_differ_by_its_own_tolerance():
    assert served(carrying(off=0.09), "int8")[0] == Precision("int8")


@pytest.mark.parametrize("wanted", ["int8", "auto"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"off": 0.11}, "golden outputs differ by 0.11, more than 0.1"),
        ({"off": np.nan}, "differ"),
        ({"int8_encoder": b"no graph"}, "refuses the encoder"),
        ({"int8_encoder": sum_encoder(5)}, "fails on the golden inputs"),
        ({"golden": golden()}, "user_vector_int8_tolerance is missing"),
    ],
)
def test_an_int8_encoder_that_fails_gives_way_to_float32_with_the_reason(fault, reason, wanted):
    precision, vector = served(carrying(**fault), wanted)
    assert (precision.precision, vector) == ("float32", 0.0)
    assert reason in precision.precision_reason


def test_a_bundle_without_int8_serves_float32_and_says_why_if_int8_was_wanted():
    assert served(sum_bundle(), "auto") == (Precision("float32"), 0.0)
    assert "carries no int8" in served(sum_bundle(), "int8")[0].precision_reason


def test_a_float32_encoder_that_must_serve_and_fails_is_refused():
    with pytest.raises(CorruptBundleError, match="refuses the encoder"):
        Scorer(carrying(off=1.0, encoder=b"no graph"), precision="int8")


def test_both_encoders_survive_packing():
    packed, bundle = pack(carrying())
    again = unpack(packed)
    assert (again.encoder, again.int8_encoder) == (bundle.encoder, stepped_encoder())
    assert np.array_equal(again.golden[INT8_OUTPUT], bundle.golden[INT8_OUTPUT])


def test_a_bundle_without_int8_is_packed_as_ever():
    packed, _ = pack(sum_bundle())
    assert (unpack(packed).int8_encoder, b"int8" in packed) == (b"", False)


def test_an_int8_encoder_that_was_changed_on_the_way_is_refused():
    packed = pack(carrying())[0].replace(stepped_encoder(), stepped_encoder()[::-1])
    with pytest.raises(CorruptBundleError):
        unpack(packed)


def test_what_the_setting_may_be_is_told():
    with pytest.raises(ValueError, match="float32"):
        RankingSettings(ranking_precision="int4")
