"""HSTU: hierarchical sequential transduction units (Zhai et al. 2024, https://arxiv.org/abs/2402.17152).

Attention without a softmax. Each pair weighs in on its own, so the strength of a taste is kept, not only its
share; a gate takes the place of the feed-forward network:

    U, Q, V, K = SiLU(Linear(Norm(x)))                                          (eq. 1)
    A[h, i, j] = SiLU(q[h, i] . k[h, j] / sqrt(d_head) + rab[h, i, j]) / n[i]    (eq. 2)
    y          = x + Linear(Norm(A V) * U)                                       (eq. 3)

rab is the bias of position and time (`PairBias`). The paper divides by the longest length; here n[i] counts the
events that i sees, so that nothing depends on how far a batch is padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.gaps import PairBias, Pairs
from services.trainer.model.encoders.signature import Body, SequenceConfig
from services.trainer.model.encoders.stack import Layer, Stack


@dataclass(frozen=True)
class HstuConfig(SequenceConfig):
    """Shape of the units. Heads have their own width: depth and width scale apart from the item table's D.

    Attributes:
        blocks: units, one after the other, >= 1.
        heads: H per unit.
        d_head: width d of a head, of values and of queries.
        max_distance: events further apart than this share one position bias.
        gap_knots: resolution K of the piecewise-linear bias over log time differences.
    """

    kind: ClassVar[str] = "hstu"
    blocks: int = 2
    heads: int = 2
    d_head: int = 32
    max_distance: int = 64
    gap_knots: int = 8

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError("an encoder has at least one block")

    def body(self) -> Body:
        """A stack of units."""
        return Stack((Unit(self) for _ in range(self.blocks)), self.gap_knots)


PRESETS = {
    "small": HstuConfig(learning_rate=2e-3),
    "base": HstuConfig(d_model=128, blocks=4, heads=4),
    "large": HstuConfig(d_model=256, blocks=8, heads=8, max_distance=256, learning_rate=5e-4),
}


class Unit(Layer):
    """One gated unit."""

    def __init__(self, config: HstuConfig) -> None:
        super().__init__()
        self.heads, self.d_head = config.heads, config.d_head
        self.inner = inner = config.heads * config.d_head
        self.bias = PairBias(config.heads, config.max_distance, config.gap_knots)
        self.norm = nn.LayerNorm(config.d_model)
        self.asker = nn.Linear(config.d_model, 2 * inner)
        self.asked = nn.Linear(config.d_model, 2 * inner)
        self.mixed_norm = nn.LayerNorm(inner)
        self.output = nn.Linear(inner, config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """See `Layer.forward`."""
        normed = self.norm(x)  # (B, T, D)
        return x + self._mixed(normed, normed, pairs)  # (B, T, D)

    def last(self, x: Tensor, pairs: Pairs) -> Tensor:
        """See `Layer.last`."""
        normed = self.norm(x)  # (B, T, D)
        return x[:, -1:] + self._mixed(normed[:, -1:], normed, pairs)  # (B, 1, D)

    def _mixed(self, asker: Tensor, asked: Tensor, pairs: Pairs) -> Tensor:
        gate, query = F.silu(self.asker(asker)).split(self.inner, dim=-1)  # (B, Q, H d) each
        value, key = F.silu(self.asked(asked)).split(self.inner, dim=-1)  # (B, T, H d) each
        logits = self._split(query) @ self._split(key).transpose(-1, -2) / math.sqrt(self.d_head)
        weights = self._weights(logits, pairs)  # (B, H, Q, T)
        mixed = (self.dropout(weights) @ self._split(value)).transpose(1, 2).flatten(2)  # (B, Q, H d)
        return self.dropout(self.output(self.mixed_norm(mixed) * gate))  # (B, Q, D)

    def _weights(self, logits: Tensor, pairs: Pairs) -> Tensor:
        seen = pairs.visible.sum(-1, keepdim=True).clamp(min=1)  # (B, Q, 1)
        share = pairs.visible / seen  # (B, Q, T)
        return F.silu(logits + self.bias(pairs)) * share.unsqueeze(1)  # (B, H, Q, T)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.d_head)).transpose(1, 2)  # (B, H, T, d)
