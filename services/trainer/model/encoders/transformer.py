"""The causal Transformer that turns a history into a user vector.

Pre-norm Transformer (Vaswani et al. 2017; Xiong et al. 2020) over a user's events, as SASRec (Kang & McAuley
2018, https://arxiv.org/abs/1808.09781), whose attention knows position and time only through differences
between two events, as TiSASRec (Li et al. 2020) does:

    logit[h, i, j] = q[h, i] . k[h, j] / sqrt(d_head) + distance[h, i - j] + gap[h](age[j] - age[i])

What attention brings passes a gate by who asks (Qiu et al. 2025, https://arxiv.org/abs/2505.06708), here one that lets
all through at first: 2 sigmoid(W x + b), W and b 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.gaps import PairBias, Pairs
from services.trainer.model.encoders.signature import Body, SequenceConfig
from services.trainer.model.encoders.stack import Layer, Stack

_MASKED = -1e9


@dataclass(frozen=True)
class TransformerConfig(SequenceConfig):
    """Shape of the Transformer.

    Attributes:
        d_model: a multiple of ``heads``.
        blocks: number of Transformer blocks, >= 1.
        heads: attention heads H per block.
        feed_forward: hidden width of the position-wise network.
        max_distance: events further apart than this share one position bias.
        gap_knots: resolution K of the piecewise-linear bias over log time differences.
    """

    kind: ClassVar[str] = "transformer"
    blocks: int = 1
    heads: int = 2
    feed_forward: int = 256
    max_distance: int = 64
    gap_knots: int = 8

    def __post_init__(self) -> None:
        if self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of heads {self.heads}")
        if self.blocks < 1:
            raise ValueError("an encoder has at least one block")

    def body(self) -> Body:
        """A stack of blocks."""
        return Stack((Block(self) for _ in range(self.blocks)), self.gap_knots)


PRESETS = {
    "small": TransformerConfig(learning_rate=2e-3),
    "base": TransformerConfig(blocks=2, heads=4, feed_forward=512, d_model=128),
    "large": TransformerConfig(
        blocks=4, heads=8, feed_forward=1024, d_model=256, max_distance=256, learning_rate=5e-4
    ),
}


class Block(Layer):
    """Pre-norm block: x + Attention(Norm(x)), then x + FeedForward(Norm(x))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.d_model
        self.heads, self.d_head = config.heads, width // config.heads
        self.bias = PairBias(config.heads, config.max_distance, config.gap_knots)
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, width)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, config.feed_forward),
            nn.GELU(approximate="tanh"),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, width),
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """See `Layer.forward`."""
        normed = self.attention_norm(x)  # (B, T, D)
        query = self._split(self.query(normed))  # (B, H, T, d)
        key = self._split(self.key(normed))  # (B, H, T, d)
        value = self._split(self.value(normed))  # (B, H, T, d)
        logits = query @ key.transpose(-1, -2) / math.sqrt(self.d_head)  # (B, H, T, T)
        weights = torch.softmax(logits + self._bias(pairs), dim=-1)  # (B, H, T, T)
        mixed = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)  # (B, T, D)
        return self._finish(x, normed, mixed)  # (B, T, D)

    def last(self, x: Tensor, pairs: Pairs) -> Tensor:
        """See `Layer.last`.

        The key projection is moved onto the single query and the value projection behind the weighted mean
        (``q . (W x) = (W' q) . x`` and ``sum a (W x) = W (sum a x)``), so none of all T positions remains.
        """
        normed = self.attention_norm(x)  # (B, T, D)
        query = self.query(normed[:, -1]).unflatten(-1, (self.heads, 1, self.d_head))  # (B, H, 1, d)
        key = self.key.weight.unflatten(0, (self.heads, self.d_head))  # (H, d, D)
        asked = (query @ key).squeeze(2) / math.sqrt(self.d_head)  # (B, H, D)
        logits = asked @ normed.transpose(1, 2)  # (B, H, T)
        bias = self._bias(pairs).squeeze(2)  # (B, H, T)
        seen = torch.softmax(logits + bias, dim=-1) @ normed  # (B, H, D)
        value = self.value.weight.unflatten(0, (self.heads, self.d_head)).transpose(1, 2)  # (H, D, d)
        mixed = (seen.unsqueeze(2) @ value).flatten(1).unsqueeze(1)  # (B, 1, D)
        return self._finish(x[:, -1:], normed[:, -1:], mixed)  # (B, 1, D)

    def _bias(self, pairs: Pairs) -> Tensor:
        hidden = torch.where(pairs.visible, 0.0, _MASKED).unsqueeze(1)  # (B, 1, Q, T)
        return self.bias(pairs) + hidden  # (B, H, Q, T)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.d_head)).transpose(1, 2)  # (B, H, T, d)

    def _finish(self, x: Tensor, normed: Tensor, mixed: Tensor) -> Tensor:
        gated = 2.0 * torch.sigmoid(self.gate(normed)) * mixed  # (B, Q, D)
        x = x + self.dropout(self.output(gated))
        return x + self.dropout(self.feed_forward(x))
