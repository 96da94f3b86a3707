"""The causal Transformer that turns a history into a user vector.

Pre-norm Transformer (Vaswani et al. 2017; Xiong et al. 2020) whose attention knows position and time only
through differences between two events, as TiSASRec (Li et al. 2020) and HSTU (Zhai et al. 2024) do:

    logit[h, i, j] = q[h, i] . k[h, j] / sqrt(d_head) + distance[h, i - j] + gap[h](age[j] - age[i])

So ages may be shifted by any constant: a replay of decades-old history gives the same vectors, and training
(every position asks) agrees with serving (only the last one asks). Histories are right-aligned: T-1 is the
most recent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

EVENT_TYPE_CODES = 32
"""Rows of the event-type embedding; higher codes are read as the last one, 0 is padding."""

_MASKED = -1e9
_LONGEST_GAP_SECONDS = 5 * 365 * 86_400.0
_SHORTEST_GAP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Shape of the encoder.

    Attributes:
        d_model: width D of item and user vectors; a multiple of ``heads``.
        blocks: number of Transformer blocks, >= 1.
        heads: attention heads H per block.
        feed_forward: hidden width of the position-wise network.
        dropout: share of activations dropped in training, in [0, 1).
        max_distance: events further apart than this share one position bias.
        gap_knots: resolution K of the piecewise-linear bias over log time differences.
    """

    d_model: int = 64
    blocks: int = 1
    heads: int = 2
    feed_forward: int = 256
    dropout: float = 0.2
    max_distance: int = 64
    gap_knots: int = 8

    def __post_init__(self) -> None:
        if self.d_model % self.heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of heads {self.heads}")
        if self.blocks < 1:
            raise ValueError("an encoder has at least one block")


class PairBias(nn.Module):
    """Additive attention bias from how far apart two events are, in positions and in time."""

    knots: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.by_distance = nn.Parameter(torch.zeros(config.max_distance + 1, config.heads))
        self.by_gap = nn.Linear(config.gap_knots, config.heads, bias=False)
        nn.init.zeros_(self.by_gap.weight)
        self.register_buffer("knots", torch.linspace(0.0, 4.0, config.gap_knots + 1)[:-1], persistent=False)

    def forward(self, distance: Tensor, gap_seconds: Tensor) -> Tensor:
        """Bias of each pair.

        Args:
            distance: ``(Q, T) int64``, query position minus key position; clamped to >= 0.
            gap_seconds: ``(B, Q, T) float32``, age of the key minus age of the query; clamped to
                [0, 5 years].

        Returns:
            ``(B, H, Q, T) float32``.
        """
        steps = distance.clamp(0, self.by_distance.shape[0] - 1)  # (Q, T)
        scaled = log_gap(gap_seconds).unsqueeze(-1)  # (B, Q, T, 1)
        by_gap = self.by_gap(torch.relu(scaled - self.knots))  # (B, Q, T, H)
        return (by_gap + self.by_distance[steps]).permute(0, 3, 1, 2)  # (B, H, Q, T)


def log_gap(gap_seconds: Tensor) -> Tensor:
    """Time difference on a log scale in [0, 4], same shape: minutes are told apart, and so are years."""
    clamped = gap_seconds.clamp(0.0, _LONGEST_GAP_SECONDS) / _SHORTEST_GAP_SECONDS
    return torch.log1p(clamped) * (4.0 / math.log1p(_LONGEST_GAP_SECONDS / _SHORTEST_GAP_SECONDS))


class Block(nn.Module):
    """Pre-norm block: x + Attention(Norm(x)), then x + FeedForward(Norm(x))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.d_model
        self.heads, self.d_head = config.heads, width // config.heads
        self.bias = PairBias(config)
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, config.feed_forward),
            nn.GELU(approximate="tanh"),
            nn.Dropout(config.dropout),
            nn.Linear(config.feed_forward, width),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, distance: Tensor, gap_seconds: Tensor, hidden: Tensor) -> Tensor:
        """Every position asks.

        Args:
            x: ``(B, T, D) float32``.
            distance: ``(T, T) int64``.
            gap_seconds: ``(B, T, T) float32``.
            hidden: ``(B, 1, T, T) float32``, 0 where query i may see key j, large and negative elsewhere.
        """
        normed = self.attention_norm(x)  # (B, T, D)
        query = self._split(self.query(normed))  # (B, H, T, d)
        key = self._split(self.key(normed))  # (B, H, T, d)
        value = self._split(self.value(normed))  # (B, H, T, d)
        logits = query @ key.transpose(-1, -2) / math.sqrt(self.d_head)  # (B, H, T, T)
        weights = torch.softmax(logits + self.bias(distance, gap_seconds) + hidden, dim=-1)  # (B, H, T, T)
        mixed = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)  # (B, T, D)
        return self._finish(x, mixed)  # (B, T, D)

    def last(self, x: Tensor, distance: Tensor, gap_seconds: Tensor, hidden: Tensor) -> Tensor:
        """Only position T-1 asks; the same function as ``forward(...)[:, -1:]``.

        The key projection is moved onto the single query and the value projection behind the weighted mean
        (``q . (W x) = (W' q) . x`` and ``sum a (W x) = W (sum a x)``), so none of all T positions remains.

        Args:
            x: ``(B, T, D) float32``.
            distance: ``(1, T) int64``.
            gap_seconds: ``(B, 1, T) float32``.
            hidden: ``(B, 1, 1, T) float32``.
        """
        normed = self.attention_norm(x)  # (B, T, D)
        query = self.query(normed[:, -1]).unflatten(-1, (self.heads, 1, self.d_head))  # (B, H, 1, d)
        key = self.key.weight.unflatten(0, (self.heads, self.d_head))  # (H, d, D)
        asked = (query @ key).squeeze(2) / math.sqrt(self.d_head)  # (B, H, D)
        logits = asked @ normed.transpose(1, 2)  # (B, H, T)
        bias = (self.bias(distance, gap_seconds) + hidden).squeeze(2)  # (B, H, T)
        seen = torch.softmax(logits + bias, dim=-1) @ normed  # (B, H, D)
        value = self.value.weight.unflatten(0, (self.heads, self.d_head)).transpose(1, 2)  # (H, D, d)
        mixed = (seen.unsqueeze(2) @ value).flatten(1).unsqueeze(1)  # (B, 1, D)
        return self._finish(x[:, -1:], mixed)  # (B, 1, D)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.d_head)).transpose(1, 2)  # (B, H, T, d)

    def _finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.dropout(self.output(mixed))
        return x + self.dropout(self.feed_forward(x))


class UserEncoder(nn.Module):
    """History to user vector; holds everything but the item table."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.event_type = nn.Embedding(EVENT_TYPE_CODES, config.d_model)
        nn.init.zeros_(self.event_type.weight)
        self.input_norm = nn.LayerNorm(config.d_model)
        self.input_dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.output_norm = nn.LayerNorm(config.d_model)
        self.project = nn.Linear(config.d_model, config.d_model)
        self.newcomer = nn.Parameter(torch.zeros(config.d_model))

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """User vector after each event: position i sees events 0..i only.

        Args:
            history_vectors: ``(B, T, D) float32``, item vectors of the history, oldest first.
            event_type: ``(B, T) int64``, codes >= 0.
            age_seconds: ``(B, T) float32``, now minus event time; any constant may be added.
            mask: ``(B, T) bool``, True where an event stands; nothing under False is read.

        Returns:
            ``(B, T, D) float32``; the newcomer's vector where the mask is False.
        """
        x = self._inputs(history_vectors, event_type, mask)  # (B, T, D)
        x = self._all_positions(x, self.blocks, age_seconds, mask)  # (B, T, D)
        return self._outputs(x, mask)  # (B, T, D)

    def last(self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """``forward(...)[:, -1]`` at a fraction of the cost: the last block works for one position only.

        Returns:
            ``(B, D) float32``; the newcomer's vector for a history of no events.
        """
        x = self._inputs(history_vectors, event_type, mask)  # (B, T, D)
        x = self._all_positions(x, self.blocks[:-1], age_seconds, mask)  # (B, T, D)
        order = torch.arange(x.shape[1], device=x.device)  # (T,)
        distance = (x.shape[1] - 1 - order).unsqueeze(0)  # (1, T)
        gap = (age_seconds - age_seconds[:, -1:]).unsqueeze(1)  # (B, 1, T)
        hidden = torch.where(mask, 0.0, _MASKED)[:, None, None, :]  # (B, 1, 1, T)
        final = cast(Block, self.blocks[-1])
        x = final.last(x, distance, gap, hidden)  # (B, 1, D)
        return self._outputs(x, mask[:, -1:]).squeeze(1)  # (B, D)

    def _inputs(self, history_vectors: Tensor, event_type: Tensor, mask: Tensor) -> Tensor:
        kinds = self.event_type(event_type.clamp(0, EVENT_TYPE_CODES - 1))  # (B, T, D)
        x = self.input_norm(torch.where(mask.unsqueeze(-1), history_vectors + kinds, 0.0))  # (B, T, D)
        return self.input_dropout(x)  # (B, T, D)

    def _all_positions(self, x: Tensor, blocks: nn.ModuleList, age_seconds: Tensor, mask: Tensor) -> Tensor:
        if not len(blocks):
            return x
        order = torch.arange(x.shape[1], device=x.device)  # (T,)
        distance = order.unsqueeze(1) - order.unsqueeze(0)  # (T, T), query minus key
        gap = age_seconds.unsqueeze(1) - age_seconds.unsqueeze(2)  # (B, T, T), age of key minus age of query
        visible = mask.unsqueeze(1) & (distance >= 0)  # (B, T, T)
        hidden = torch.where(visible, 0.0, _MASKED).unsqueeze(1)  # (B, 1, T, T)
        for block in blocks:
            x = block(x, distance, gap, hidden)  # (B, T, D)
        return x

    def _outputs(self, x: Tensor, mask: Tensor) -> Tensor:
        vectors = self.project(self.output_norm(x))  # (B, T or 1, D)
        return torch.where(mask.unsqueeze(-1), vectors, self.newcomer)  # (B, T or 1, D)


class ServingEncoder(nn.Module):
    """What is exported: the signature of a bundle's ``user_encoder.onnx``, on the encoder's own weights."""

    def __init__(self, encoder: UserEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, history_vectors: Tensor, event_type: Tensor, age_seconds: Tensor, mask: Tensor
    ) -> Tensor:
        """See `UserEncoder.last`; returns ``user_vector (B, D) float32``."""
        return self.encoder.last(history_vectors, event_type, age_seconds, mask)
