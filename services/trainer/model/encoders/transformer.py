"""The causal Transformer that turns a history into a user vector.

Pre-norm Transformer (Vaswani et al. 2017; Xiong et al. 2020) over a user's events, as SASRec (Kang & McAuley
2018, https://arxiv.org/abs/1808.09781), whose attention knows position and time only through differences
between two events, as TiSASRec (Li et al. 2020) does:

    logit[h, i, j] = q[h, i] . k[h, j] / sqrt(d_head) + distance[h, i - j] + gap[h](age[j] - age[i])

What attention brings passes a gate by who asks (Qiu et al. 2025, https://arxiv.org/abs/2505.06708), here one that lets
all through at first: gate(x) = 2 sigmoid(W x + b), W and b 0.

Attention tells best what follows what just happened. What a user likes for long is said by folding in the whole history
(see `fold_in`), and added through a gate of the same kind by what attention says, as FISSA (Lin, Pan & Ming, RecSys
2020) joins SASRec with a factorisation of item similarities:

    user_vector = s + gate(s) * fold_in(history),    s = SASRec(history)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.fold_in import Fading, FoldIn
from services.trainer.model.encoders.gaps import PairBias, Pairs, all_pairs, last_pairs
from services.trainer.model.encoders.signature import SequenceConfig, SequenceEncoder, UserEncoder
from services.trainer.model.encoders.stack import Layer, Stack

DEEPER_FROM = 500_000
"""Events from which on a second block pays. It takes 1.6 times as long to learn and, with histories of 50, 3 to 5 times
to serve. NDCG on validation, one block and two: .272 and .271 with 100,000 events (MovieLens), .269 and .271 with
180,000, .244 and .248 with 850,000 (both made up, without a fold-in); mixed with rules, of these .147 and .156 @10."""
_MORE_DROPOUT, _MOST_DROPOUT = 2.5, 0.9
"""The fold-in leaves out more events in training than is dropped elsewhere. With 0.2, as there, it learned a sparse set
by heart: NDCG on validation .260 after 18 passes, .266 without a fold-in and .266 with 0.5. MovieLens 100k: .272 with
0.2, .269 with 0.5, .265 with 0.7, .258 without."""
_MASKED = -1e9


@dataclass(frozen=True)
class TransformerConfig(SequenceConfig):
    """Shape of the Transformer.

    Attributes:
        d_model: a multiple of ``heads``.
        blocks: number of Transformer blocks; 0: by the events to learn (see `suited`), 1 where nobody tells.
        heads: attention heads H per block.
        feed_forward: hidden width of the position-wise network.
        max_distance: events further apart than this share one position bias.
        gap_knots: resolution K of the piecewise-linear bias over log time differences.
        steps: of the fold-in, >= 1.
    """

    kind: ClassVar[str] = "transformer"
    blocks: int = 1
    heads: int = 2
    feed_forward: int = 256
    max_distance: int = 64
    gap_knots: int = 8
    steps: int = 3

    def __post_init__(self) -> None:
        if self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of heads {self.heads}")
        if self.blocks < 0:
            raise ValueError(f"an encoder has no {self.blocks} blocks")

    def suited(self, n_events: int) -> Self:
        """See `EncoderConfig.suited`."""
        return self if self.blocks else replace(self, blocks=2 if n_events >= DEEPER_FROM else 1)

    def build(self) -> UserEncoder:
        """See `EncoderConfig.build`."""
        return Transformer(self)

    def body(self) -> Stack:
        """A stack of blocks."""
        return Stack((Block(self) for _ in range(self.blocks or 1)), self.gap_knots)


PRESETS = {
    "small": TransformerConfig(blocks=0, learning_rate=2e-3),
    "base": TransformerConfig(blocks=2, heads=4, feed_forward=512, d_model=128),
    "large": TransformerConfig(
        blocks=4, heads=8, feed_forward=1024, d_model=256, max_distance=256, learning_rate=5e-4
    ),
}


class Gate(nn.Module):
    """2 sigmoid(W x + b), at first 1 everywhere."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D) float32`` to the same, in (0, 2)."""
        return 2.0 * torch.sigmoid(self.linear(x))


class Transformer(SequenceEncoder):
    """Blocks that say what comes next, and the fold-in that says what is liked."""

    body: Stack

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        fading = Fading(config.max_distance, config.gap_knots)
        self.fold_in = FoldIn(config.steps, fading, min(_MORE_DROPOUT * config.dropout, _MOST_DROPOUT))
        self.fold_in_gate = Gate(config.d_model)

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """See `UserEncoder.forward`."""
        pairs = all_pairs(age_seconds, mask, self.body.gap_knots)
        x = self.body.among(self._inputs(history_vectors, event_type, mask), pairs)  # (B, T, D)
        liked = self._liked(history_vectors, event_type, mask, pairs)  # (B, T, D)
        return self._joined(self._outputs(x, mask), liked)

    def last(self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `UserEncoder.last`."""
        pairs = last_pairs(age_seconds, mask, self.body.gap_knots)
        x = self._inputs(history_vectors, event_type, mask)  # (B, T, D)
        x = self.body.last_among(x, age_seconds, mask, pairs)  # (B, 1, D)
        liked = self._liked(history_vectors, event_type, mask, pairs)  # (B, 1, D)
        return self._joined(self._outputs(x, mask[:, -1:]), liked)[:, 0]

    def _liked(self, history_vectors: Tensor, event_type: Tensor, mask: Tensor, pairs: Pairs) -> Tensor:
        items = torch.where(mask.unsqueeze(-1), history_vectors, 0.0)  # (B, T, D)
        return self.fold_in(items, event_type, pairs)  # (B, Q, D)

    def _joined(self, following: Tensor, liked: Tensor) -> Tensor:
        return following + self.fold_in_gate(following) * liked  # (B, Q, D)


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
        self.gate = Gate(width)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, config.feed_forward),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, width),
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """See `Layer.forward`."""
        normed = self.attention_norm(x)  # (B, T, D)
        query = self._split(self.query(normed) / math.sqrt(self.d_head))  # (B, H, T, d)
        key = self._split(self.key(normed))  # (B, H, T, d)
        value = self._split(self.value(normed))  # (B, H, T, d)
        logits = query @ key.transpose(-1, -2)  # (B, H, T, T)
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
        hidden = ((1.0 - pairs.visible) * _MASKED).unsqueeze(1)  # (B, 1, Q, T)
        return self.bias(pairs) + hidden  # (B, H, Q, T)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.d_head)).transpose(1, 2)  # (B, H, T, d)

    def _finish(self, x: Tensor, normed: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.dropout(self.output(self.gate(normed) * mixed))
        return x + self.dropout(self.feed_forward(x))
