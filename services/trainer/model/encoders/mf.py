"""Biased matrix factorisation with fold-in (Koren, Bell & Volinsky 2009, https://doi.org/10.1109/MC.2009.263).

    r[u, i] = mu + b_u + b_i + q_u . p_i

p_i and b_i are the item table's rows, mu is part of the b_i; b_u is the same for all items of one user, so it
changes no ranking and is left out. There is no table of users: q_u is the newcomer's vector and what folding in the
history adds to it (see `fold_in`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from services.trainer.model.encoders.fold_in import Fading, FoldIn
from services.trainer.model.encoders.gaps import Pairs, all_pairs, last_pairs
from services.trainer.model.encoders.signature import EncoderConfig, UserEncoder


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
        return Factorisation(self)


PRESETS = {
    "small": MfConfig(),
    "base": MfConfig(d_model=128),
    "large": MfConfig(d_model=256, steps=4, max_distance=256, learning_rate=1e-3),
}


class Factorisation(UserEncoder):
    """The user vector that explains the history best."""

    def __init__(self, config: MfConfig) -> None:
        super().__init__(config)
        self.gap_knots = config.gap_knots
        self.fold_in = FoldIn(config.steps, Fading(config.max_distance, config.gap_knots), config.dropout)

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
        items = torch.where(mask.unsqueeze(-1), history_vectors, 0.0)  # (B, T, D)
        return self.newcomer + self.fold_in(items, event_type, pairs, self.newcomer)  # (B, Q, D)
