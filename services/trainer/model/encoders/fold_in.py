"""Folding in: the vector that explains best what a history says of items, whoever's it is.

    d = argmin over d of  sum_j w_j (r_j - (q_0 + d) . p_j)^2 + ridge |d|^2

p_j are the item table's rows of the history, r_j the rating that the event's type stands for, w_j its confidence: by
type, and fading with distance and time; q_0 is where everybody begins. It is the user half-step of implicit alternating
least squares (Hu, Koren & Volinsky 2008), so that a user whom training never saw is no special case. The system is
solved by a few steps of conjugate gradients, written out, through which training learns all of it and which the
exported graph holds (the implicit library solves it the same way: Takács, Pilászy & Tikk 2011).

Decision: what is served is solved in float64. Steps that have nearly arrived divide small numbers by small ones, and in
float32 two runtimes that round differently ended up 1e-3 apart; training, which is noisy anyway, stays in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.gaps import PairBias, Pairs
from services.trainer.model.encoders.signature import EVENT_TYPE_CODES

_TINY = 1e-8
"""Where nothing is left to explain, 0 / 0 is 0. A least size, not a term: onnxscript's optimiser takes so small a term
for 0 and removes it."""
_LARGEST_LOG_CONFIDENCE = 5.0
_FIRST_RATING = 4.0
_FIRST_FADING = 0.05


class Fading(NamedTuple):
    """How confidence fades. max_distance: events further back fade no more by distance. gap_knots: resolution of the
    piecewise-linear fading over log time differences."""

    max_distance: int
    gap_knots: int


class FoldIn(nn.Module):
    """What is learned of ratings and confidence, and the solution for a history."""

    def __init__(self, steps: int, fading: Fading, dropout: float) -> None:
        """steps: of conjugate gradients, >= 1. dropout: share of events left out in training, in [0, 1)."""
        super().__init__()
        self.steps = steps
        self.rating = nn.Embedding.from_pretrained(_full(_FIRST_RATING), freeze=False)
        self.log_confidence = nn.Embedding.from_pretrained(_full(0.0), freeze=False)
        self.fading = PairBias(1, *fading)
        self.log_ridge = nn.Parameter(torch.zeros(()))
        self.dropout = Dropout(dropout)
        self.fading.by_distance.data = -_FIRST_FADING * torch.arange(fading.max_distance + 1.0).unsqueeze(-1)

    def forward(
        self, items: Tensor, event_type: Tensor, pairs: Pairs, origin: Tensor | None = None
    ) -> Tensor:
        """d for each position that asks, ``(B, Q, D) float32``; 0 where it sees no event.

        Args:
            items: ``(B, T, D) float32``; zeros where no event stands.
            event_type: ``(B, T) int64``.
            pairs: who sees whom, of as many knots as the fading has.
            origin: q_0, ``(D,) float32``; None for 0.
        """
        precision = torch.float32 if self.training else torch.float64
        items = items.to(precision)  # (B, T, D)
        types = event_type.clamp(0, EVENT_TYPE_CODES - 1)  # (B, T)
        confidence = self._confidence(types, pairs).to(precision)  # (B, Q, T)
        unexplained = self.rating(types).squeeze(-1)  # (B, T)
        if origin is not None:
            unexplained = unexplained - items @ origin.to(precision)  # (B, T)
        wanted = (confidence * unexplained.unsqueeze(1)) @ items  # (B, Q, D)

        def system(direction: Tensor) -> Tensor:
            explained = confidence * (direction @ items.transpose(1, 2))  # (B, Q, T)
            return self.log_ridge.to(precision).exp() * direction + explained @ items  # (B, Q, D)

        return conjugate_gradients(system, wanted, self.steps).float()  # (B, Q, D)

    def _confidence(self, types: Tensor, pairs: Pairs) -> Tensor:
        by_type = self.log_confidence(types).squeeze(-1).unsqueeze(1)  # (B, 1, T)
        logs = self.fading(pairs).squeeze(1) + by_type  # (B, Q, T)
        return self.dropout(logs.clamp(max=_LARGEST_LOG_CONFIDENCE).exp() * pairs.visible)  # (B, Q, T)


def conjugate_gradients(system: Callable[[Tensor], Tensor], wanted: Tensor, steps: int) -> Tensor:
    """x after ``steps`` steps towards ``system(x) = wanted``, from 0 (Hestenes & Stiefel 1952).

    Args:
        system: symmetric positive definite, linear, ``(..., D)`` to the same.
        wanted: ``(..., D)``, of the same dtype.
        steps: >= 1.
    """
    solution, rest, direction = torch.zeros_like(wanted), wanted, wanted
    size = rest.square().sum(-1, keepdim=True)  # (..., 1)
    for _ in range(steps):
        image = system(direction)  # (..., D)
        pace = size / (direction * image).sum(-1, keepdim=True).clamp(min=_TINY)  # (..., 1)
        solution, rest = solution + pace * direction, rest - pace * image
        smaller = rest.square().sum(-1, keepdim=True)  # (..., 1)
        direction, size = rest + smaller / size.clamp(min=_TINY) * direction, smaller
    return solution


def _full(value: float) -> Tensor:
    return torch.full((EVENT_TYPE_CODES, 1), value)
