"""A bundle carries the int8 encoder when, and only when, it was judged good enough and its kind is quicker so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.ranking.model.precision import Precision
from services.ranking.model.scorer import Scorer
from services.trainer.judging.judging import judge_candidate
from services.trainer.learning.packing import About, Packed, pack_model
from services.trainer.model.answering.evaluation import CaseOptions, leave_one_out, make_cases
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.sequences import EventRoles
from services.trainer.processes.reports import Job
from shared.adapters.codecs.bundle import INT8_ENCODER, INT8_OUTPUT, INT8_TOLERANCE, Bundle, unpack
from shared.domain.models.mixture import Mixture
from tests.unit.trainer.builders import VIEW, random_model, walks
from tests.unit.trainer_service.builders import JOB

GOOD = {"ndcg@10": 0.5, "int8/ndcg@10": 0.499}
BAD = {"ndcg@10": 0.5, "int8/ndcg@10": 0.49}
HELD = leave_one_out(walks(n_items=12))


def mixed(kind: str) -> MixedModel:
    model = random_model(config_of(kind, "small"))
    experts = learn_experts(walks(n_items=12), model.item_keys, EventRoles())
    return MixedModel(model, experts, Mixture(0.4, event_types=(VIEW,)))


LSTM = mixed("lstm")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    return JOB._replace(directory=str(tmp_path_factory.mktemp("job")))


@pytest.fixture(scope="module")
def packed(job) -> Packed:
    return pack_model(LSTM, About(GOOD, 1, "", {}), job)


@pytest.fixture(scope="module")
def carrying(packed) -> Bundle:
    return unpack(Path(packed.file).read_bytes())


def carried(model: MixedModel, metrics: dict[str, float], job: Job) -> bool:
    bundle = unpack(pack_model(model, About(metrics, 1, "", {}), job).file.read_bytes())
    return bool(bundle.int8_encoder) and INT8_OUTPUT in bundle.golden


def test_what_was_judged_good_enough_is_carried_with_golden_outputs_of_its_own(carrying):
    assert INT8_ENCODER in carrying.manifest.files
    assert carrying.golden[INT8_OUTPUT].shape == carrying.golden_output.shape
    tolerance = carrying.golden[INT8_TOLERANCE]
    assert np.abs(carrying.golden[INT8_OUTPUT] - carrying.golden_output).max() == tolerance > 0


def test_ranking_serves_what_is_carried(carrying):
    assert Scorer(carrying, precision="int8").precision == Precision("int8")


def test_the_manifest_tells_what_it_loses_and_not_how_quick_it_was(carrying):
    metrics = carrying.manifest.metrics
    assert metrics["int8/ndcg@10"] == GOOD["int8/ndcg@10"]
    assert metrics["int8/difference"] == pytest.approx(float(carrying.golden[INT8_TOLERANCE][0]))
    assert "int8/speed_up" not in metrics


def test_how_quick_it_was_is_told_beside_the_bundle(packed):
    assert packed.measured["int8/speed_up"] > 0


def test_the_same_model_gives_the_same_digest(packed, tmp_path):
    again = pack_model(LSTM, About(GOOD, 1, "", {}), JOB._replace(directory=str(tmp_path)))
    assert again.digest == packed.digest


@pytest.mark.parametrize("metrics", [BAD, {"ndcg@10": 0.5}, {"judged_users": 0.0}])
def test_what_lost_too_much_or_was_not_judged_is_not_carried(metrics, tmp_path):
    assert not carried(LSTM, metrics, JOB._replace(directory=str(tmp_path)))


def test_a_kind_that_is_no_quicker_is_not_carried(tmp_path):
    assert not carried(mixed("gru"), GOOD, JOB._replace(directory=str(tmp_path)))


def test_it_is_judged_by_the_questions_of_the_candidate(job):
    metrics = judge_candidate(LSTM, HELD, EventRoles(), job).metrics
    assert metrics["int8/ndcg@10"] == pytest.approx(metrics["ndcg@10"], abs=0.1)


def test_without_questions_nothing_is_judged(job):
    nobody = make_cases(HELD.train, HELD.held_out.take(slice(0, 0)), CaseOptions())
    assert "int8/ndcg@10" not in judge_candidate(LSTM, replace(HELD, cases=nobody), EventRoles(), job).metrics
