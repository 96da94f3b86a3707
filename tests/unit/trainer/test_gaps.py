"""The bias of a pair is what its definition says, however it is reckoned."""

from __future__ import annotations

import pytest
import torch

from services.trainer.model.encoders.gaps import PairBias, all_pairs, last_pairs, log_gap

HEADS, MAX_DISTANCE, KNOTS = 2, 3, 4
AGE_SECONDS = torch.tensor([[9e8, 4e6, 3_700.0, 50.0, 0.0], [0.0, 0.0, 86_400.0, 60.0, 1.0]])
MASK = torch.tensor([[True] * 5, [False, False, True, True, True]])


def some_bias() -> PairBias:
    bias, drawn = PairBias(HEADS, MAX_DISTANCE, KNOTS), torch.Generator().manual_seed(1)
    for weights in bias.parameters():
        weights.data.normal_(generator=drawn)
    return bias


def test_it_is_a_number_by_distance_and_a_slope_for_each_knot_that_the_gap_lies_above():
    bias = some_bias()
    found = bias(all_pairs(AGE_SECONDS, MASK, KNOTS))
    for asker in range(5):
        for asked in range(asker + 1):
            gap = log_gap(AGE_SECONDS[:, asked] - AGE_SECONDS[:, asker])
            above = torch.relu(gap[:, None] - torch.arange(KNOTS))  # (B, K), knots at 0, 1, 2, 3
            expected = bias.by_distance[min(asker - asked, MAX_DISTANCE)] + above @ bias.by_gap.weight.T
            assert torch.allclose(found[:, :, asker, asked], expected, atol=1e-5)


def test_the_last_position_finds_what_it_finds_among_all():
    bias = some_bias()
    among_all = bias(all_pairs(AGE_SECONDS, MASK, KNOTS))[:, :, -1:]
    assert torch.allclose(bias(last_pairs(AGE_SECONDS, MASK, KNOTS)), among_all, atol=1e-6)


def test_in_training_it_is_what_it_is_in_service():
    bias, pairs = some_bias(), all_pairs(AGE_SECONDS, MASK, KNOTS)
    assert torch.equal(bias.train()(pairs), bias.eval()(pairs))
    last = last_pairs(AGE_SECONDS, MASK, KNOTS)
    assert torch.equal(bias.train()(last), bias.eval()(last))


@pytest.mark.parametrize("training", [True, False])
def test_its_gradient_is_that_of_the_definition(training):
    bias, pairs = some_bias().train(training), all_pairs(AGE_SECONDS, MASK, KNOTS)
    wanted = torch.randn(2, HEADS, 5, 5, generator=torch.Generator().manual_seed(2)) * pairs.visible[:, None]
    (bias(pairs) * wanted).sum().backward()
    gap = log_gap(AGE_SECONDS.unsqueeze(1) - AGE_SECONDS.unsqueeze(2))  # (B, T, T)
    above = torch.relu(gap.unsqueeze(-1) - torch.arange(KNOTS))  # (B, T, T, K)
    by_gap = torch.einsum("bhqt,bqtk->hk", wanted, above)
    assert torch.allclose(bias.by_gap.weight.grad, by_gap, rtol=1e-4, atol=1e-4)
    steps = pairs.distance.clamp(0, MAX_DISTANCE)  # (T, T)
    away = torch.nn.functional.one_hot(steps, MAX_DISTANCE + 1).float()  # (T, T, MAX_DISTANCE + 1)
    by_distance = torch.einsum("bhqt,qtm->mh", wanted, away)
    assert torch.allclose(bias.by_distance.grad, by_distance, atol=1e-5)
