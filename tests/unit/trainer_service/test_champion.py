"""A model is judged from its bundle as it was when it came out of training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.trainer.judging.champion import champion_scorer
from services.trainer.judging.judging import judge_candidate
from services.trainer.judging.model_judging import judge_model
from services.trainer.learning.packing import About, Packed, pack_model
from services.trainer.model.answering.evaluation import CaseOptions, leave_one_out
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.export.encoder_graph import INPUT_NAMES
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.sequences import EventRoles
from services.trainer.processes.evaluation_jobs import ModelJob
from services.trainer.processes.reports import Job
from shared.adapters.codecs.bundle import unpack
from shared.domain.events.event import EventType
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.mixture import Mixture
from tests.unit.trainer.builders import VIEW, random_model, walks
from tests.unit.trainer_service.builders import JOB

ROLES = EventRoles()
MODEL = random_model(n_items=12)
EXPERTS = learn_experts(walks(n_items=12), MODEL.item_keys, ROLES)
MIXED = MixedModel(MODEL, EXPERTS, Mixture(0.4, event_types=(VIEW,), ease_weight=0.5))
ABOUT = About({"ndcg@10": 0.5}, 1, "", {})


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    return JOB._replace(directory=str(tmp_path_factory.mktemp("job")))


@pytest.fixture(scope="module")
def packed(job) -> Packed:
    return pack_model(MIXED, ABOUT, job)


@pytest.fixture(scope="module")
def as_champion(job, packed) -> Job:
    return job._replace(champion_version="c0ffee", champion_bundle=str(packed.file))


def test_a_packed_model_scores_as_the_trained_one(packed):
    histories = leave_one_out(walks(n_items=20), CaseOptions(history_length=8)).cases.histories
    found, expected = champion_scorer(packed.file, threads=1)(histories), MIXED.scorer()(histories)
    assert np.allclose(found, expected, atol=1e-4)


def test_the_manifest_tells_how_the_model_was_made(packed):
    manifest = unpack(packed.file.read_bytes()).manifest
    made = (manifest.log_from, manifest.log_to, manifest.seed, manifest.code_revision, manifest.domain)
    assert made == (1, 100, 3, "r1", "video")
    assert (manifest.item_count, manifest.dimension, manifest.history_length) == (12, 8, 8)


def test_the_manifest_tells_which_encoder_it_is(packed, job, tmp_path):
    factorisation = random_model(config_of("mf", "small", 8))
    other = pack_model(replace(MIXED, model=factorisation), ABOUT, job._replace(directory=str(tmp_path)))
    encoders = [unpack(each.file.read_bytes()).manifest.encoder for each in (packed, other)]
    assert encoders == ["transformer", "mf"]


def test_the_manifest_tells_the_parity(packed):
    metrics = unpack(packed.file.read_bytes()).manifest.metrics
    assert metrics["ndcg@10"] == 0.5
    assert metrics["parity"] <= 1e-4


def test_the_manifest_tells_every_tensor_as_it_is(packed):
    bundle = unpack(packed.file.read_bytes())
    for name in (*INPUT_NAMES, "user_vector"):
        tensor, example = bundle.manifest.tensors[name], bundle.golden[name]
        assert tensor.dtype == example.dtype.name
        assert all(said in (-1, real) for said, real in zip(tensor.shape, example.shape, strict=True))


def test_the_same_model_makes_the_same_bundle(packed, job):
    assert pack_model(MIXED, ABOUT, job).digest == packed.digest


def test_a_card_that_was_written_is_packed(packed, job, tmp_path):
    about = ABOUT._replace(documents={"model_card.md": b"# a model"})
    other = pack_model(MIXED, about, job._replace(directory=str(tmp_path)))
    assert unpack(other.file.read_bytes()).documents == {"model_card.md": b"# a model"}
    assert unpack(packed.file.read_bytes()).documents == {}
    assert other.digest != packed.digest


def test_candidate_champion_and_baselines_answer_the_same_questions(as_champion):
    held = leave_one_out(walks(n_items=20), CaseOptions(history_length=8))
    verdict = judge_candidate(MIXED, held, ROLES, as_champion)
    assert verdict.metrics["champion/ndcg@10"] == pytest.approx(verdict.metrics["ndcg@10"])
    assert verdict.evidence.users == verdict.metrics["judged_users"] == 30
    assert verdict.evidence.champion_version == "c0ffee"
    assert {"baseline/popular/ndcg@10", "baseline/recently_popular/ndcg@10"} <= set(verdict.metrics)


def test_without_a_champion_there_is_none_in_the_evidence(job):
    verdict = judge_candidate(MIXED, leave_one_out(walks()), ROLES, job)
    assert verdict.evidence.champion_version == ""
    assert not any(name.startswith("champion/") for name in verdict.metrics)


def test_a_champion_whose_bundle_is_corrupt_is_told_of(as_champion, packed, tmp_path: Path):
    broken = tmp_path / "broken.bundle"
    broken.write_bytes(packed.file.read_bytes()[:-100])
    verdict = judge_candidate(
        MIXED, leave_one_out(walks()), ROLES, as_champion._replace(champion_bundle=str(broken))
    )
    assert verdict.evidence.champion_version == ""
    assert "not an intact bundle" in verdict.evidence.champion_unreadable


def test_without_questions_there_is_no_verdict(as_champion):
    held = leave_one_out(walks(length=1))
    verdict = judge_candidate(MIXED, held, ROLES, as_champion)
    assert verdict.metrics == {"judged_users": 0.0}
    assert verdict.evidence.users == 0


LOG = walks(n_users=30, length=6)
LOG.event_type[:] = EventType.RATE
PROTOCOLS = ["leave-one-out", "temporal", "prequential"]


def registered(packed: Packed, protocol: str, **fields) -> ModelJob:
    """To judge the model, which has learned the first two thirds of LOG."""
    job = ModelJob(
        "", "", "video", "/none", 0, protocol, "abc", str(packed.file), 120, 180, 8, 0, 1, 0, "info"
    )
    return job._replace(**fields)


def judged(log: EventColumns, job: ModelJob) -> dict:
    """The table."""
    return judge_model(log, job, lambda report: None).document


def keep(served: EventColumns, directory: Path) -> None:
    """What was served, as the service leaves it for the process that judges."""
    columns = {each: getattr(served, each) for each in EventColumns.__slots__}
    np.savez(directory / "exposures.npz", **columns, known_from=0)


@pytest.mark.parametrize(
    "protocol, questions", [("leave-one-out", 30), ("temporal", 30), ("prequential", 60)]
)
def test_a_registered_model_is_asked_for_nothing_it_has_learned(packed, protocol, questions):
    board = judged(LOG, registered(packed, protocol))
    assert board["questions"] == questions
    assert {each["name"] for each in board["standings"] if not each["baseline"]} == {"abc"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_registered_model_is_asked_for_nothing_that_a_recommendation_had_prompted(
    packed, protocol, tmp_path
):
    shown = LOG.take(LOG.position > 120)
    keep(shown.take(np.isin(shown.user_key, shown.user_key[:10])), tmp_path)
    board = judged(LOG, registered(packed, protocol, directory=str(tmp_path), min_users=20))
    of_all = judged(LOG, registered(packed, protocol))
    assert (board["users"], of_all["users"]) == (20, 30)
    assert (board["prompted_events"], board["prompted_asked"]) == (20, False)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_too_few_chose_on_their_own_a_registered_model_is_asked_for_everything_and_that_is_told(
    packed, protocol, tmp_path
):
    keep(LOG.take(LOG.position > 120), tmp_path)
    board = judged(LOG, registered(packed, protocol, directory=str(tmp_path), min_users=1))
    assert board["questions"] == judged(LOG, registered(packed, protocol))["questions"]
    assert (board["prompted_events"], board["prompted_asked"]) == (60, True)
