"""The sampled loss estimates the exact one."""

import numpy as np
import torch

from services.trainer.model.objective import ItemTable, Objective, full_softmax_loss, sampled_softmax_loss


def table(n_items: int) -> ItemTable:
    generator = np.random.default_rng(0)
    return ItemTable(generator.standard_normal((n_items, 4)), generator.standard_normal(n_items))


def test_an_indifferent_user_loses_the_log_of_the_catalogue():
    blank = ItemTable(np.zeros((8, 4)), np.zeros(8))
    loss = full_softmax_loss(torch.zeros(2, 4), torch.tensor([0, 1]), blank)
    torch.testing.assert_close(loss, torch.tensor(8.0).log())


def test_a_large_sample_gives_the_exact_loss():
    users, target = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16)
    sampled = Objective(np.arange(50), exact_up_to=0, n_negatives=200_000, seed=0)(users, target, table(50))
    assert abs(sampled - full_softmax_loss(users, target, table(50))) < 0.02


def test_a_rows_own_target_is_no_negative():
    users, target = torch.zeros(1, 4), torch.tensor([0])
    loss = sampled_softmax_loss(users, target, table(3), torch.tensor([0, 0]), torch.zeros(2))
    assert loss == 0.0


def test_small_catalogues_are_learned_exactly():
    users, target = torch.ones(1, 4), torch.tensor([2])
    found = Objective(np.ones(5), exact_up_to=5, n_negatives=1, seed=0)(users, target, table(5))
    torch.testing.assert_close(found, full_softmax_loss(users, target, table(5)))
