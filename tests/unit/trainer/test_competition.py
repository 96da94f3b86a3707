"""The sampled softmax, worked out by hand, is that of its definition, and so is its gradient."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.model.fitting.competition import Sample, losses_among, rivals

N_ITEMS = 12
some_items = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=20)
seeds = st.integers(0, 2**32 - 1)


def sample_of(items: list[int]) -> Sample:
    return Sample(torch.tensor(items), torch.zeros(len(items)))


def scores(n_rows: int, n_draws: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    positive = 10 * torch.randn(n_rows, generator=generator)
    logits = 10 * torch.randn(n_rows, n_draws, generator=generator)
    return positive.requires_grad_(), logits.requires_grad_()


def by_definition(positive: torch.Tensor, logits: torch.Tensor, is_own: torch.Tensor) -> torch.Tensor:
    left = logits.masked_fill(is_own, -torch.inf)
    return torch.logsumexp(torch.cat([positive[:, None], left], dim=1), dim=1) - positive


@given(targets=some_items, items=some_items)
def test_all_draws_compete_but_those_of_the_rows_own_target(targets, items):
    found = rivals(torch.tensor(targets), sample_of(items))
    assert found.tolist() == [[float(item != target) for item in items] for target in targets]


@given(targets=some_items, items=some_items, seed=seeds)
def test_a_loss_is_the_log_of_the_share_that_the_positive_has(targets, items, seed):
    sample, target = sample_of(items), torch.tensor(targets)
    positive, logits = scores(len(targets), len(items), seed)
    found = losses_among(positive, logits, rivals(target, sample))
    expected = by_definition(positive, logits, target[:, None] == sample.item)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@given(targets=some_items, items=some_items, seed=seeds)
def test_its_gradient_is_that_of_the_definition(targets, items, seed):
    sample, target = sample_of(items), torch.tensor(targets)
    inputs = scores(len(targets), len(items), seed)
    weight = torch.linspace(0.5, 2.0, len(targets))  # each row has a pull of its own
    found = losses_among(*inputs, rivals(target, sample)) @ weight
    expected = by_definition(*inputs, target[:, None] == sample.item) @ weight
    for one, other in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_scores_far_apart_are_no_overflow():
    losses = losses_among(torch.tensor([500.0, -500.0]), torch.tensor([[-500.0], [500.0]]), torch.ones(2, 1))
    assert losses.tolist() == [0.0, 1000.0]
