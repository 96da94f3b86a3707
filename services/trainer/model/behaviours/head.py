"""The head: a small multi-task network from a user's vector and items' vectors to a probability per behaviour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HIDDEN = 32
WIDE = 3
"""Inputs of the linear way: the model's score u.v, the item's bias and the rules' score; the last of the features."""


class BehaviourHead(nn.Module):
    """A linear way for the inputs that matter most beside a shared bottom (wide & deep, Cheng et al. 2016).

    The bottom reads the element-wise product of the two vectors, both vectors, and the wide inputs, all standardised,
    and corrects the linear way, which alone stands on so few numbers that a rare behaviour has labels enough for it. It
    begins by correcting nothing. Calibration is part of the graph: log-odds z of objective o leave as
    sigmoid(slope[o] z + shift[o]).
    """

    mean: Tensor
    scale: Tensor
    slope: Tensor
    shift: Tensor

    def __init__(self, dimension: int, objectives: int, dropout: float = 0.2) -> None:
        super().__init__()
        features = 3 * dimension + WIDE
        self.wide = nn.Linear(WIDE, objectives)
        self.hidden = nn.Linear(features, HIDDEN)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(HIDDEN, objectives, bias=False)
        nn.init.zeros_(self.out.weight)
        for name in ("mean", "scale", "slope", "shift"):
            size = features if name in ("mean", "scale") else objectives
            self.register_buffer(name, torch.full((size,), 1.0 if name in ("scale", "slope") else 0.0))

    def features(
        self, user_vector: Tensor, item_vectors: Tensor, item_bias: Tensor, rule_score: Tensor
    ) -> Tensor:
        """``(B, N, 3 D + 3) float32``, standardised. Arguments as of `forward`."""
        user = user_vector[:, None].expand_as(item_vectors)
        product = user * item_vectors
        wide = torch.stack([product.sum(dim=-1), item_bias, rule_score], dim=-1)
        raw = torch.cat([product, user, item_vectors, wide], dim=-1)
        return (raw - self.mean) / self.scale

    def log_odds(self, features: Tensor) -> Tensor:
        """``(B, N, O) float32`` before calibration, from ``features (B, N, 3 D + 3)``."""
        hidden = self.drop(torch.relu(self.hidden(features)))
        log_odds: Tensor = self.wide(features[..., -WIDE:]) + self.out(hidden)
        return log_odds

    def forward(
        self, user_vector: Tensor, item_vectors: Tensor, item_bias: Tensor, rule_score: Tensor
    ) -> Tensor:
        """Probabilities ``(B, N, O) float32``.

        Args:
            user_vector: ``(B, D) float32``.
            item_vectors: ``(B, N, D) float32``.
            item_bias: ``(B, N) float32``.
            rule_score: ``(B, N) float32``, what the rules add to the model's score.
        """
        features = self.features(user_vector, item_vectors, item_bias, rule_score)
        return torch.sigmoid(self.log_odds(features) * self.slope + self.shift)
