"""A run goes on from the champion where it can, and begins anew where it cannot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.trainer.learning.learning import plan_of
from services.trainer.learning.packing import weights_of
from services.trainer.learning.warm_start import PASSES, champion_gone_on, champion_start, weighed_anew
from services.trainer.model.contest.encoder_learners import next_lesson
from services.trainer.model.encoders.registry import config_of
from services.trainer.model.encoders.transformer import DEEPER_FROM
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.sequences import EventRoles
from shared.adapters.codecs.bundle import Bundle, pack
from shared.domain.models.manifest import ENCODER_INPUTS, ENCODER_OUTPUT, Manifest, Tensor
from shared.domain.models.mixture import Mixture
from tests.unit.trainer.builders import PLAN, VIEW, random_model, walks
from tests.unit.trainer_service.builders import JOB

SMALL = config_of("gru", "small")
MIXTURE = Mixture(0.4, event_types=(2,))


@pytest.fixture
def champion(tmp_path):
    """A job whose champion is a bundle of a small gru, or of another model; what the bundle has else is told."""
    gru = random_model(SMALL)

    def make(model=gru, **fields):
        config = model.encoder.config
        tensor = Tensor("float32", (-1,))
        tensors = {name: tensor for name in (*ENCODER_INPUTS, ENCODER_OUTPUT)}
        manifest = Manifest(
            config.kind, config.d_model, len(model.item_keys), 8, 1, 90, 0, "r", "video", tensors
        )
        manifest = replace(manifest, mixture=MIXTURE, metrics={PASSES: 7.0})
        experts = learn_experts(walks(n_items=12), model.item_keys, EventRoles())
        table = (model.item_keys, model.item_vectors, model.item_biases)
        bundle = Bundle(
            manifest, b"graph", *table, {ENCODER_OUTPUT: np.zeros((1, 1), np.float32)}, experts=experts
        )
        bundle = replace(bundle, weights=weights_of(model))
        file = Path(tmp_path) / "champion.bundle"
        file.write_bytes(pack(replace(bundle, **fields))[0])
        job = JOB._replace(champion_bundle=str(file), champion_version="abc", champion_position=90)
        return job._replace(encoder=config.kind, preset="small")

    make.model = gru
    return make


def test_a_run_goes_on_from_what_the_champion_knows(champion):
    job = champion()
    start = champion_start(job, plan_of(job, 100))
    assert (start.version, start.learned_to, start.mixture) == ("abc", 90, MIXTURE)
    assert start.model.passes == 7
    assert np.array_equal(start.model.item_vectors, champion.model.item_vectors)
    weights = zip(start.model.encoder.parameters(), champion.model.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.parametrize(
    "otherwise",
    [{"full": True}, {"encoder": "lstm"}, {"preset": "base"}, {"champion_bundle": ""}],
    ids=["full", "another encoder", "another size", "no champion"],
)
def test_a_run_begins_anew(champion, otherwise):
    job = champion()._replace(**otherwise)
    assert champion_start(job, plan_of(job, 100)) is None


def test_a_run_begins_anew_once_there_is_data_for_a_deeper_encoder(champion):
    shallow = config_of("transformer", "small").suited(DEEPER_FROM - 1)
    job = champion(random_model(shallow))
    assert champion_start(job, plan_of(job, DEEPER_FROM - 1)) is not None
    assert champion_start(job, plan_of(job, DEEPER_FROM)) is None


def test_a_run_begins_anew_when_the_champion_holds_no_weights(champion):
    job = champion(weights={})
    assert champion_start(job, plan_of(job, 100)) is None


def test_a_run_begins_anew_when_the_champion_is_damaged(champion):
    job = champion()
    Path(job.champion_bundle).write_bytes(b"no bundle")
    assert champion_start(job, plan_of(job, 100)) is None


def test_going_on_learns_new_items_and_leaves_the_champion_as_it_is(champion):
    job = champion()
    start = champion_start(job, plan_of(job, 100))
    columns, plan = walks(n_items=15), replace(PLAN, encoder=SMALL)
    mixed = champion_gone_on(start, columns, plan)
    assert mixed.model.item_keys.tolist() == list(range(1, 16))
    assert np.array_equal(start.model.item_vectors, champion.model.item_vectors)


def test_what_is_new_gives_rules_the_weight_that_answers_it_best(champion):
    job = champion()
    start = champion_start(job, plan_of(job, 100))
    roles = EventRoles(history=frozenset({VIEW}), target=frozenset({VIEW}))
    columns, plan = walks(n_users=40, n_items=12), replace(PLAN, encoder=SMALL, roles=roles)
    nobody = np.zeros(len(columns), bool)
    assert weighed_anew(start, columns, plan, nobody).mixture.weight > MIXTURE.weight
    assert weighed_anew(start, columns, plan, ~nobody) == start


def test_without_new_events_the_model_stays_what_it_is(champion):
    job = champion()
    start = champion_start(job, plan_of(job, 100))
    columns = walks(n_items=12).take(slice(0, 90))
    mixed = next_lesson(
        MixedModel(start.model, learn_experts(columns, start.model.item_keys, EventRoles()), MIXTURE),
        columns,
        replace(PLAN, encoder=SMALL).continued(90),
    )
    assert np.array_equal(mixed.model.item_vectors, start.model.item_vectors)
