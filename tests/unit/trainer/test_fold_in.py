"""Folding in solves the least squares of a history."""

import numpy as np
import pytest
import torch

from services.trainer.model.encoders.fold_in import Fading, FoldIn
from services.trainer.model.encoders.gaps import last_pairs

WIDTH, LENGTH, KNOTS = 4, 6, 8
MASK = torch.ones(1, LENGTH, dtype=torch.bool)
TYPES = torch.tensor([[1, 1, 2, 1, 3, 2]])
AGES = torch.tensor([[9e5, 4e5, 4e5, 3e3, 60.0, 0.0]])


def fold_in(steps: int = WIDTH) -> FoldIn:
    """Ratings and confidences differ by type; conjugate gradients arrive in as many steps as the width."""
    torch.manual_seed(0)
    module = FoldIn(steps, Fading(max_distance=64, gap_knots=KNOTS), dropout=0.0)
    torch.nn.init.normal_(module.rating.weight)
    torch.nn.init.normal_(module.log_confidence.weight, std=0.5)
    return module.eval()


def items() -> torch.Tensor:
    return torch.randn(1, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))


def least_squares(module: FoldIn, vectors: torch.Tensor, origin: np.ndarray) -> np.ndarray:
    """The same by its definition, ``(D,)``: with no say of the gaps, as in a module that has not learned."""
    p, types = vectors[0].double().numpy(), TYPES[0]
    rating = module.rating(types).detach().double().numpy()[:, 0] - p @ origin
    log_confidence = module.log_confidence(types).detach().double().numpy()[:, 0]
    confidence = np.exp(log_confidence - 0.05 * np.arange(LENGTH)[::-1])
    return np.linalg.solve(np.eye(WIDTH) + p.T * confidence @ p, p.T @ (confidence * rating))


@pytest.mark.parametrize("begins", [0.0, 0.7])
def test_the_solution_is_that_of_weighted_ridge_regression(begins):
    module, vectors, origin = fold_in(), items(), torch.full((WIDTH,), begins)
    found = module(vectors, TYPES, last_pairs(AGES, MASK, KNOTS), origin)[0, 0]
    assert np.allclose(found.detach(), least_squares(module, vectors, origin.double().numpy()), atol=1e-4)


def test_no_origin_is_the_origin_0():
    module, pairs = fold_in(), last_pairs(AGES, MASK, KNOTS)
    assert torch.equal(module(items(), TYPES, pairs), module(items(), TYPES, pairs, torch.zeros(WIDTH)))


def test_nothing_is_folded_in_of_an_empty_history():
    nothing = torch.zeros(1, LENGTH, dtype=torch.bool)
    folded = fold_in()(torch.zeros(1, LENGTH, WIDTH), TYPES, last_pairs(AGES, nothing, KNOTS))
    assert torch.equal(folded, torch.zeros(1, 1, WIDTH))


def test_three_steps_come_nearer_than_one():
    pairs = last_pairs(AGES, MASK, KNOTS)
    wanted = torch.from_numpy(least_squares(fold_in(), items(), np.zeros(WIDTH))).float()
    off = [(fold_in(steps)(items(), TYPES, pairs)[0, 0] - wanted).norm() for steps in (1, 3)]
    assert off[1] < 0.5 * off[0]
