"""Time as encoders read it: only as the distance and the gap between two events of one history.

TiSASRec (Li et al. 2020, https://doi.org/10.1145/3336191.3371786) and HSTU (Zhai et al. 2024) do so, too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

_LONGEST_GAP_SECONDS = 5 * 365 * 86_400.0
_SHORTEST_GAP_SECONDS = 60.0
_LARGEST_LOG_GAP = 4.0


def log_gap(gap_seconds: Tensor) -> Tensor:
    """Time difference on a log scale in [0, 4], same shape: minutes are told apart, and so are years."""
    clamped = gap_seconds.clamp(0.0, _LONGEST_GAP_SECONDS) / _SHORTEST_GAP_SECONDS
    return torch.log1p(clamped) * (
        _LARGEST_LOG_GAP / math.log1p(_LONGEST_GAP_SECONDS / _SHORTEST_GAP_SECONDS)
    )


class Pairs(NamedTuple):
    """Who asks (Q positions, T or the last one only) and who is asked (T positions).

    distance: ``(Q, T) int64``, position of the asker minus that of the asked. raised: ``(K, B, Q, T) float32``, the log
    of the time between both, or the knot where that lies higher, for each of K knots: a piecewise linear function of it
    is a weighted sum of them. They depend on no weights, so all layers share them. visible: ``(B, Q, T) float32``, 1
    where the asker may see the asked, else 0: torch goes through numbers several times as quickly as through bool.
    """

    distance: Tensor
    raised: Tensor
    visible: Tensor


def all_pairs(age_seconds: Tensor, mask: Tensor, knots: int) -> Pairs:
    """Every position asks. ``age_seconds (B, T) float32``, ``mask (B, T) bool``; knots: K."""
    order = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    distance = order.unsqueeze(1) - order.unsqueeze(0)  # (T, T)
    gap = age_seconds.unsqueeze(1) - age_seconds.unsqueeze(2)  # (B, T, T)
    return Pairs(distance, _raised(gap, knots), mask.unsqueeze(1).float() * (distance >= 0).float())


def last_pairs(age_seconds: Tensor, mask: Tensor, knots: int) -> Pairs:
    """Only position T-1 asks: Q = 1. Arguments as of `all_pairs`."""
    order = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    distance = (mask.shape[1] - 1 - order).unsqueeze(0)  # (1, T)
    gap = (age_seconds - age_seconds[:, -1:]).unsqueeze(1)  # (B, 1, T)
    return Pairs(distance, _raised(gap, knots), mask.unsqueeze(1).float())


def _raised(gap_seconds: Tensor, knots: int) -> Tensor:
    """``(K, ...) float32`` of gaps ``(...) float32``. The knots stand in front, so that a bias is a product of few long
    rows, and one pass over memory makes them: pairs are what a step on long histories spends its time on."""
    at = _knots(knots).to(gap_seconds.device).reshape(-1, *[1] * gap_seconds.dim())  # (K, 1, ...)
    return torch.maximum(log_gap(gap_seconds).unsqueeze(0), at)


class PairBias(nn.Module):
    """A number for each pair of events and head: one by distance, one piecewise linear in the log gap.

    by_gap[h](gap) = sum over knots k of slope[h, k] * max(0, log gap - k), written as slope * (max(log gap, k) - k).
    """

    knots: Tensor

    def __init__(self, heads: int, max_distance: int, gap_knots: int) -> None:
        super().__init__()
        self.by_distance = nn.Parameter(torch.zeros(max_distance + 1, heads))
        self.by_gap = nn.Linear(gap_knots, heads, bias=False)
        nn.init.zeros_(self.by_gap.weight)
        self.register_buffer("knots", _knots(gap_knots), persistent=False)

    def forward(self, pairs: Pairs) -> Tensor:
        """``(B, H, Q, T) float32``; gaps are clamped to [0, 5 years], distances to [0, max_distance]."""
        flat = self._flat(pairs.distance)  # (H, Q, T)
        by_gap = self.by_gap.weight @ pairs.raised.flatten(1)  # (H, B Q T)
        by_gap = by_gap.unflatten(1, pairs.visible.shape)  # (H, B, Q, T)
        return (by_gap + flat.unsqueeze(1)).transpose(0, 1)  # (B, H, Q, T)

    def _flat(self, distance: Tensor) -> Tensor:
        """What does not depend on the gap, ``(H, Q, T) float32``. Its rows are windows on one line of all distances;
        taught so, a distance gathers its gradient by line, not pair by pair, in a fifth of the time."""
        values = (self.by_distance - self.by_gap(self.knots)).t()  # (H, max_distance + 1)
        steps = distance.clamp(0, values.shape[1] - 1)  # (Q, T)
        if not self.training:
            return values[:, steps]
        line = torch.cat([steps[:, 0].flip(0), steps[0, 1:]])  # (Q + T - 1,), from the furthest on
        return values[:, line].unfold(1, steps.shape[1], 1).flip(1)  # (H, Q, T)


class PreviousGap(nn.Module):
    """A vector for the time since the event before, for encoders that do not look at pairs."""

    knots: Tensor

    def __init__(self, d_model: int, gap_knots: int) -> None:
        super().__init__()
        self.by_gap = nn.Linear(gap_knots, d_model, bias=False)
        nn.init.zeros_(self.by_gap.weight)
        self.register_buffer("knots", _knots(gap_knots), persistent=False)

    def forward(self, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, D) float32``; zeros for a history's first event and under the mask."""
        gap = log_gap(age_seconds[:, :-1] - age_seconds[:, 1:])  # (B, T - 1)
        gap = torch.where(mask[:, :-1] & mask[:, 1:], gap, 0.0)  # (B, T - 1)
        gap = torch.cat([torch.zeros_like(age_seconds[:, :1]), gap], dim=1)  # (B, T)
        return self.by_gap(torch.relu(gap.unsqueeze(-1) - self.knots))  # (B, T, D)


def _knots(count: int) -> Tensor:
    return torch.linspace(0.0, _LARGEST_LOG_GAP, count + 1)[:-1]
