"""The losses: the sampled one estimates the exact one, gBCE is calibrated, a no is a no, the worst are left out."""

import math

import numpy as np
import pytest
import torch

from services.trainer.model.fitting.competition import Sample
from services.trainer.model.fitting.objective import (
    Examples,
    ItemTable,
    Objective,
    full_softmax_losses,
    gbce_losses,
    gbce_power,
    refused_losses,
    sampled_softmax_losses,
    without_worst,
)


def table(n_items: int) -> ItemTable:
    generator = np.random.default_rng(0)
    return ItemTable(generator.standard_normal((n_items, 4)), generator.standard_normal(n_items))


def examples(n: int = 16, weight: float = 1.0) -> Examples:
    users = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return Examples(users, torch.arange(n), torch.full((n,), weight))


def exact(n_items: int) -> Objective:
    return Objective(np.ones(n_items), exact_up_to=n_items, n_negatives=1, seed=0)


def test_an_indifferent_user_loses_the_log_of_the_catalogue():
    blank = ItemTable(np.zeros((8, 4)), np.zeros(8))
    losses = full_softmax_losses(torch.zeros(2, 4), torch.tensor([0, 1]), blank)
    torch.testing.assert_close(losses, torch.full((2,), 8.0).log())


def test_a_large_sample_gives_the_exact_loss():
    sampled = Objective(np.arange(50), exact_up_to=0, n_negatives=200_000, seed=0)(examples(), table(50))
    assert abs(sampled - exact(50)(examples(), table(50))) < 0.02


def test_a_rows_own_target_is_no_negative():
    users, target = torch.zeros(1, 4), torch.tensor([0])
    own = Sample(torch.tensor([0, 0]), torch.zeros(2))
    assert sampled_softmax_losses(users, target, table(3), own) == 0.0
    assert gbce_losses(users, target, table(3), own, power=0.0) == 0.0


def test_a_row_whose_sample_is_nothing_but_its_target_changes_nothing():
    users = torch.zeros(1, 4, requires_grad=True)
    own = Sample(torch.tensor([0, 0]), torch.zeros(2))
    sampled_softmax_losses(users, torch.tensor([0]), table(3), own).sum().backward()
    assert torch.equal(users.grad, torch.zeros(1, 4))


def test_small_catalogues_are_learned_exactly():
    some = examples(5)
    expected = full_softmax_losses(some.users, some.target, table(5)).mean()
    torch.testing.assert_close(exact(5)(some, table(5)), expected)


def test_gbce_is_the_binary_cross_entropy_of_a_powered_positive():
    blank, negatives = (
        ItemTable(np.zeros((8, 4)), np.zeros(8)),
        Sample(torch.tensor([1, 2, 3]), torch.zeros(3)),
    )
    loss = gbce_losses(torch.zeros(1, 4), torch.tensor([0]), blank, negatives, power=0.5)
    torch.testing.assert_close(loss, torch.tensor([(0.5 + 3) * math.log(2)]))


@pytest.mark.parametrize(("calibration", "power"), [(0.0, 1.0), (0.75, 0.4375), (1.0, 0.25)])
def test_gbce_takes_back_the_overconfidence_that_sampling_brings(calibration, power):
    assert gbce_power(n_negatives=25, n_items=101, calibration=calibration) == pytest.approx(power)


def test_an_example_counts_with_its_weight():
    some, weight = examples(2), torch.tensor([3.0, 1.0])
    losses = full_softmax_losses(some.users, some.target, table(5))
    found = exact(5)(some._replace(weight=weight), table(5))
    torch.testing.assert_close(found, (losses * weight).sum() / 4)


def test_a_refused_item_costs_what_it_was_expected():
    probability = torch.tensor([1e-9, 0.1, 1.0])
    costs = refused_losses(-probability.log(), n_items=10)
    torch.testing.assert_close(costs, torch.tensor([0.0, math.log(2), math.log(11)]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("calibration", [None, 0.75])
def test_a_no_lowers_the_score_of_its_item(calibration):
    items, some = table(20), examples(1, weight=-2.0)
    Objective(np.ones(20), 20, 5, 0, calibration)(some, items).backward()
    own = items.biases.grad[0]
    assert own > 0  # a step against the gradient lowers it
    assert (items.biases.grad[1:] <= 0).all()


def test_the_worst_examples_are_left_out():
    assert without_worst(torch.tensor([1.0, 9.0, 2.0, 8.0]), 0.5).tolist() == [True, False, True, False]
    assert without_worst(torch.tensor([1.0, 9.0]), 0.0).all()


def test_what_is_left_out_teaches_nothing():
    some, items = examples(4), table(5)
    losses = full_softmax_losses(some.users, some.target, items)
    found = exact(5)(some, items, trim_share=0.25)
    torch.testing.assert_close(found, losses.sort().values[:3].mean())


def test_what_is_left_out_is_a_share_of_what_says_yes():
    weight, items = torch.tensor([-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0]), table(12)
    some = examples(10)._replace(weight=weight)
    assert exact(12).weighed(some, items, trim_share=0.5).weight == 6 + 2
