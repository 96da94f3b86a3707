"""The head: a small multi-task network from a user's vector and items' vectors to a probability per behaviour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

HIDDEN = 32


class BehaviourHead(nn.Module):
    """A shared bottom (Caruana 1997) with one log-odds per objective, beside a linear way for the few inputs that matter
    most, so that an objective with few labels can lean on them (Cheng et al. 2016, wide & deep).

    The bottom reads the element-wise product of the two vectors, both vectors, and the wide inputs: the model's score
    u.v, the item's bias and the rules' score; all standardised. Calibration is part of the graph: the log-odds z of
    objective o leave as sigmoid(slope[o] z + shift[o]).
    """

    def __init__(self, dimension: int, objectives: int, dropout: float = 0.1) -> None:
        super().__init__()
        features = 3 * dimension + 3
        self.hidden = nn.Linear(features, HIDDEN)
        self.out = nn.Linear(HIDDEN, objectives)
        self.wide = nn.Linear(3, objectives, bias=False)
        self.drop = nn.Dropout(dropout)
        for name in ("mean", "scale", "slope", "shift"):
            size = features if name in ("mean", "scale") else objectives
            fill = 1.0 if name in ("scale", "slope") else 0.0
            self.register_buffer(name, torch.full((size,), fill))

    def features(
        self, user_vector: Tensor, item_vectors: Tensor, item_bias: Tensor, rule_score: Tensor
    ) -> Tensor:
        """``(B, N, 3 D + 3) float32``. Arguments as of `forward`."""
        user = user_vector[:, None].expand_as(item_vectors)
        product = user * item_vectors
        wide = torch.stack([product.sum(dim=-1), item_bias, rule_score], dim=-1)
        return torch.cat([product, user, item_vectors, wide], dim=-1)

    def log_odds(self, features: Tensor) -> Tensor:
        """``(B, N, O) float32`` before calibration, from ``features (B, N, 3 D + 3)``."""
        standard = (features - self.mean) / self.scale
        hidden = self.drop(nn.functional.gelu(self.hidden(standard), approximate="tanh"))
        out: Tensor = self.out(hidden) + self.wide(standard[..., -3:])
        return out

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
