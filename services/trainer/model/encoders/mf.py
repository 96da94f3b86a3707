"""Biased matrix factorisation with fold-in (Koren, Bell & Volinsky 2009, https://doi.org/10.1109/MC.2009.263).

    r[u, i] = mu + b_u + b_i + q_u . p_i

p_i and b_i are the item table's rows, mu is part of the b_i; b_u is the same for all items of one user, so it
changes no ranking and is left out. There is no table of users: q_u is the ridge solution for the events of the
history, as in the user half-step of implicit alternating least squares (Hu, Koren & Volinsky 2008), so that a
user whom training never saw is no special case:

    q_u = q_0 + argmin over d of  sum_j w_j (r_j - (q_0 + d) . p_j)^2 + ridge |d|^2

q_0 is the newcomer's vector, r_j the rating that the event's type stands for, w_j its confidence: by type, and
fading with distance and time. The system is solved by a few steps of conjugate gradients, written out, through
which training learns all of it and which the exported graph holds (the implicit library solves it the same way:
Takács, Pilászy & Tikk 2011).

Decision: what is served is solved in float64. Steps that have nearly arrived divide small numbers by small ones, and in
float32 two runtimes that round differently ended up 1e-3 apart; training, which is noisy anyway, stays in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.gaps import PairBias, Pairs, all_pairs, last_pairs
from services.trainer.model.encoders.signature import EVENT_TYPE_CODES, EncoderConfig, UserEncoder

_TINY = 1e-8
_LARGEST_LOG_CONFIDENCE = 5.0
_FIRST_RATING = 4.0
_FIRST_FADING = 0.05


@dataclass(frozen=True)
class MfConfig(EncoderConfig):
    """Shape of the fold-in.

    Attributes:
        steps: of conjugate gradients, >= 1.
        max_distance: events further back than this fade no more by distance.
        gap_knots: resolution of the piecewise-linear fading over log time differences.
    """

    kind: ClassVar[str] = "mf"
    learning_rate: float = 2e-3
    steps: int = 3
    max_distance: int = 64
    gap_knots: int = 8

    def build(self) -> UserEncoder:
        """See `EncoderConfig.build`."""
        return FoldIn(self)


PRESETS = {
    "small": MfConfig(),
    "base": MfConfig(d_model=128),
    "large": MfConfig(d_model=256, steps=4, max_distance=256, learning_rate=1e-3),
}


class FoldIn(UserEncoder):
    """The user vector that explains the history best."""

    def __init__(self, config: MfConfig) -> None:
        super().__init__(config)
        self.steps, self.gap_knots = config.steps, config.gap_knots
        self.rating = nn.Embedding.from_pretrained(_full(_FIRST_RATING), freeze=False)
        self.log_confidence = nn.Embedding.from_pretrained(_full(0.0), freeze=False)
        self.fading = PairBias(1, config.max_distance, config.gap_knots)
        self.log_ridge = nn.Parameter(torch.zeros(()))
        self.dropout = Dropout(config.dropout)
        self.fading.by_distance.data = -_FIRST_FADING * torch.arange(config.max_distance + 1.0).unsqueeze(-1)

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """See `UserEncoder.forward`."""
        pairs = all_pairs(age_seconds, mask, self.gap_knots)
        return self._folded(history_vectors, event_type, mask, pairs)  # (B, T, D)

    def last(self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `UserEncoder.last`."""
        pairs = last_pairs(age_seconds, mask, self.gap_knots)
        return self._folded(history_vectors, event_type, mask, pairs)[:, 0]  # (B, D)

    def _folded(self, history_vectors: Tensor, event_type: Tensor, mask: Tensor, pairs: Pairs) -> Tensor:
        precision = torch.float32 if self.training else torch.float64
        items = torch.where(mask.unsqueeze(-1), history_vectors, 0.0).to(precision)  # (B, T, D)
        types = event_type.clamp(0, EVENT_TYPE_CODES - 1)  # (B, T)
        confidence = self._confidence(types, pairs).to(precision)  # (B, Q, T)
        unexplained = self.rating(types).squeeze(-1) - items @ self.newcomer.to(precision)  # (B, T)
        wanted = (confidence * unexplained.unsqueeze(1)) @ items  # (B, Q, D)

        def system(direction: Tensor) -> Tensor:
            explained = confidence * (direction @ items.transpose(1, 2))  # (B, Q, T)
            return self.log_ridge.to(precision).exp() * direction + explained @ items  # (B, Q, D)

        deviation = conjugate_gradients(system, wanted, self.steps).float()  # (B, Q, D)
        return torch.where(pairs.visible.any(-1, keepdim=True), self.newcomer + deviation, self.newcomer)

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
        pace = size / ((direction * image).sum(-1, keepdim=True) + _TINY)  # (..., 1)
        solution, rest = solution + pace * direction, rest - pace * image
        smaller = rest.square().sum(-1, keepdim=True)  # (..., 1)
        direction, size = rest + smaller / (size + _TINY) * direction, smaller
    return solution


def _full(value: float) -> Tensor:
    return torch.full((EVENT_TYPE_CODES, 1), value)
