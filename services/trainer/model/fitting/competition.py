"""The competition of a sampled softmax, and its gradient, in as few passes over memory as it takes.

A step makes N x S numbers of them. Left to torch's operations they took longer than the matrix product that makes them:
a bool for each, and exponentials once for the loss and once for its gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Sample(NamedTuple):
    """Items drawn with replacement as the competition of a whole batch.

    item: ``(S,) int64``. log_expected: ``(S,) float32``, log(S x probability) of each draw.
    """

    item: Tensor
    log_expected: Tensor


def rivals(target: Tensor, sample: Sample) -> Tensor:
    """Who competes with ``target (N,) int64``, ``(N, S) float32``: 0 where a draw is the row's own target, else 1."""
    rival = torch.empty(len(target), len(sample.item), device=target.device)
    return torch.ne(target.unsqueeze(1).int(), sample.item.int(), out=rival)


def losses_among(positive: Tensor, logits: Tensor, rival: Tensor) -> Tensor:
    """-log(exp(positive) / (exp(positive) + sum of exp(logits) of rivals)).

    Args:
        positive: ``(N,) float32``.
        logits: ``(N, S) float32``.
        rival: ``(N, S) float32``, as `rivals`.

    Returns:
        ``(N,) float32``, >= 0, in nats.
    """
    losses: Tensor = _LossesAmong.apply(positive, logits, rival)
    return losses


class _LossesAmong(torch.autograd.Function):
    """The exponentials of the loss are those of its gradient: d loss / d logit is the share of the whole that this one
    has, and -d loss / d positive that of all of them."""

    @staticmethod
    def forward(ctx: Any, positive: Tensor, logits: Tensor, rival: Tensor) -> Tensor:
        top = torch.maximum(logits.amax(1), positive)  # (N,)
        parts = (logits - top.unsqueeze(1)).exp_().mul_(rival)  # (N, S)
        others = parts.sum(1)  # (N,)
        whole = others + (positive - top).exp()  # (N,)
        ctx.parts, ctx.others, ctx.whole = parts, others, whole
        return whole.log() - (positive - top)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        pace = gradients[0] / ctx.whole  # (N,)
        return -pace * ctx.others, ctx.parts * pace.unsqueeze(1), None
