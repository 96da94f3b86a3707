"""The head: what it learns, how it is calibrated, and that its graph is the same function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from services.trainer.model.behaviours import export
from services.trainer.model.behaviours.calibration import Scaling, platt_scaling
from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.behaviours.export import export_head
from services.trainer.model.behaviours.fitting import HeadPlan, fit_head, log_odds_of
from services.trainer.model.behaviours.graph import ranker_graph
from services.trainer.model.behaviours.head import BehaviourHead
from services.trainer.model.behaviours.inputs import Inputs
from services.trainer.model.behaviours.logistic import logistic_regression
from services.trainer.model.export.encoder_graph import ParityError
from shared.domain.metrics.probability_metrics import auc, base_rate_log_loss, log_loss
from shared.domain.presets.behaviours import RANKER_INPUTS, RANKER_OUTPUT, SHOWN
from tests.unit.trainer.builders import random_model

DIMENSION = 8


def random_head(objectives: int = 3) -> BehaviourHead:
    """A head in which nothing is zero or one."""
    torch.manual_seed(1)
    head = BehaviourHead(DIMENSION, objectives)
    for tensor in head.state_dict().values():
        torch.nn.init.uniform_(tensor, 0.2, 0.9)
    return head.eval()


def test_the_graph_computes_the_heads_probabilities():
    ranker = export_head(random_head(), random_model())
    assert ranker.max_abs_difference <= 1e-5
    assert ranker.golden[RANKER_OUTPUT].shape == (4, 6, 3)
    assert ranker.golden[RANKER_OUTPUT].std() > 0


def test_the_signature_is_the_bundles():
    session = onnxruntime.InferenceSession(ranker_graph(random_head()))
    shapes = (["B", DIMENSION], ["B", "N", DIMENSION], ["B", "N"], ["B", "N"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == list(zip(RANKER_INPUTS, shapes, strict=True))
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        (RANKER_OUTPUT, "tensor(float)", ["B", "N", 3])
    ]


def test_equal_heads_have_equal_graphs():
    assert ranker_graph(random_head()) == ranker_graph(random_head())


@pytest.mark.parametrize("name", ["slope", "hidden.weight", "wide.bias"])
def test_a_graph_of_another_head_is_refused(monkeypatch, name):
    other = random_head()
    other.state_dict()[name].add_(0.5)
    monkeypatch.setattr(export, "ranker_graph", lambda _: ranker_graph(other))
    with pytest.raises(ParityError):
        export_head(random_head(), random_model())


def test_probabilities_that_are_not_finite_are_refused():
    head = random_head()
    head.shift.fill_(torch.nan)
    with pytest.raises(ParityError):
        export_head(head, random_model())


def world(n: int, seed: int = 0, taste: float = 0.0) -> tuple[Inputs, Examples]:
    """A behaviour that follows the model's score, and one that follows a part of the product, by `taste`, that the
    score does not show."""
    generator = np.random.default_rng(seed)
    users, items = (generator.standard_normal((40, DIMENSION)).astype(np.float32) for _ in range(2))
    history, item = generator.integers(0, 40, (2, n))
    biases, rules = np.zeros(40, np.float32), generator.exponential(size=n).astype(np.float32)
    product = users[history] * items[item]
    log_odds = np.stack([product.sum(axis=1) - 2.0, taste * (product[:, 0] - product[:, 1]) - 3.0], axis=1)
    labels = generator.random((n, 2)) < 1 / (1 + np.exp(-log_odds))
    keys, order = np.arange(n, dtype=np.uint64), np.arange(n)
    examples = Examples(keys, keys, order, order, labels, np.ones_like(labels), 1.0, SHOWN)
    return Inputs(users, items, biases, history, item, rules), examples


def test_a_behaviour_that_follows_the_score_is_foretold_from_few_examples():
    (inputs, examples), (later, truth) = world(400), world(4000)
    found = Scaling(1.0, 0.0).probabilities(log_odds_of(fit_head(inputs, examples, HeadPlan()), later))
    assert auc(truth.labels[:, 0], found[:, 0]) > 0.8
    assert log_loss(truth.labels[:, 0], found[:, 0]) < 0.85 * base_rate_log_loss(truth.labels[:, 0])


def test_the_shared_bottom_learns_what_the_score_does_not_show():
    (inputs, examples), (later, truth) = world(12_000, taste=2.0), world(4000, taste=2.0)
    plan = HeadPlan()
    straight = log_odds_of(fit_head(inputs, examples, HeadPlan(epochs=0)), later)[:, 1]
    corrected = log_odds_of(fit_head(inputs, examples, plan), later)[:, 1]
    foretold = [Scaling(1.0, 0.0).probabilities(each) for each in (straight, corrected)]
    losses = [log_loss(truth.labels[:, 1], each) for each in foretold]
    assert losses[1] < 0.95 * losses[0]


def test_the_same_examples_give_the_same_head():
    inputs, examples = world(600)
    first, second = (fit_head(inputs, examples, HeadPlan(seed=3)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_that_are_not_asked_teach_nothing():
    inputs, examples = world(600)
    examples.asked[300:, 1] = False
    lies = examples.labels.copy()
    lies[300:, 1] ^= True
    first, second = (
        fit_head(inputs, each, HeadPlan()).state_dict() for each in (examples, replace(examples, labels=lies))
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_scaling_finds_what_made_the_labels():
    generator = np.random.default_rng(0)
    z = generator.normal(0, 2, 200_000)
    labels = generator.random(len(z)) < Scaling(0.4, -2.0).probabilities(z)
    found = platt_scaling(z, labels, np.ones(len(z)))
    assert (found.slope, found.shift) == (pytest.approx(0.4, abs=0.02), pytest.approx(-2.0, abs=0.02))


def test_a_weighted_row_is_as_many_rows():
    z, labels = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, True])
    weights = np.array([5.0, 1.0, 3.0, 1.0])
    repeated = np.repeat(z, weights.astype(int)), np.repeat(labels, weights.astype(int))
    found = logistic_regression(z[:, None], labels.astype(float), weights, 1.0)
    again = logistic_regression(repeated[0][:, None], repeated[1].astype(float), np.ones(10), 1.0)
    np.testing.assert_allclose(found, again)


@example([(23.0, True), (50.0, True), (-40.0, True)])
@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=50))
def test_scaling_keeps_the_order_and_foretells_the_base_rate(rows):
    z, labels = np.array([z for z, _ in rows]), np.array([label for _, label in rows])
    found = platt_scaling(z, labels, np.ones(len(z)))
    assert found.slope >= 0
    targets = np.where(labels, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2))
    assert found.probabilities(z).mean() == pytest.approx(targets.mean(), abs=1e-3)


def test_log_odds_that_tell_the_opposite_are_not_believed():
    z = np.linspace(-1, 1, 1000)
    found = platt_scaling(z, z < -0.5, np.ones(1000))
    assert found.slope == 0
    assert found.probabilities(z) == pytest.approx(0.25, abs=0.01)
