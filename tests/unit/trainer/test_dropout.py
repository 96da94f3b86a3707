"""Dropout: what share is dropped, that the rest makes up for it, and that a seed repeats it."""

import pytest
import torch

from services.trainer.model.encoders.dropout import Dropout

ONES = torch.ones(100, 1_001)  # a count that no number of draws fills


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_in_evaluation_nothing_is_dropped():
    assert Dropout(0.5).eval()(ONES) is ONES


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_about_the_share_is_dropped_and_the_rest_scaled_up_to_the_same_sum(share):
    dropped = Dropout(share)(ONES)
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.03)
    assert len(dropped.unique()) == 2


def test_every_place_of_a_draw_is_dropped_as_often():
    dropped = (Dropout(0.5)(torch.ones(80_000)) == 0).view(-1, 8).float().mean(0)
    torch.testing.assert_close(dropped, torch.full((8,), 0.5), atol=0.02, rtol=0)


def test_a_seed_repeats_what_is_dropped_and_each_call_draws_anew():
    layer = Dropout(0.5)
    first, second = layer(ONES), layer(ONES)
    torch.manual_seed(0)
    assert torch.equal(layer(ONES), first)
    assert not torch.equal(first, second)


def test_what_was_dropped_has_no_gradient():
    x = torch.ones(1_000, requires_grad=True)
    kept = Dropout(0.5)(x)
    kept.sum().backward()
    assert torch.equal(x.grad, kept.detach())
