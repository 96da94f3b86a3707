"""The loss: cross-entropy over the catalogue, exact or over a shared sample."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ItemTable(nn.Module):
    """Item vectors, read as input and scored as output, and item biases.

    Attributes:
        vectors: ``(V, D) float32``.
        biases: ``(V,) float32``.
    """

    def __init__(self, vectors: np.ndarray, biases: np.ndarray) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.tensor(vectors, dtype=torch.float32))
        self.biases = nn.Parameter(torch.tensor(biases, dtype=torch.float32))

    def forward(self, item: Tensor) -> Tensor:
        """Vectors of the items: ``(...) int64`` to ``(..., D) float32``."""
        return F.embedding(item, self.vectors)


def full_softmax_loss(users: Tensor, target: Tensor, table: ItemTable) -> Tensor:
    """-log softmax(users . vectors' + biases)[target], averaged.

    Args:
        users: ``(N, D) float32``.
        target: ``(N,) int64``, item indices.
        table: all items compete.

    Returns:
        Scalar, >= 0, in nats.
    """
    logits = F.linear(users, table.vectors, table.biases)  # (N, V)
    return F.cross_entropy(logits, target)


def sampled_softmax_loss(
    users: Tensor, target: Tensor, table: ItemTable, negatives: Tensor, log_expected: Tensor
) -> Tensor:
    """Softmax loss against one sample of S items shared by the batch, with the logQ correction.

    A sampled item's logit is lowered by the log of how often it was expected in the sample, so that the sum
    of exponentials estimates that over the whole catalogue (Bengio & Senécal 2008; Yi et al. 2019, eq. 3). A
    sampled item that is the row's own target is left out.

    Args:
        users: ``(N, D) float32``.
        target: ``(N,) int64``.
        table: items.
        negatives: ``(S,) int64``, drawn with replacement.
        log_expected: ``(S,) float32``, log(S x probability) of each draw.

    Returns:
        Scalar, >= 0, in nats.
    """
    positive = (users * table(target)).sum(-1) + table.biases[target]  # (N,)
    logits = users @ table(negatives).T + table.biases[negatives] - log_expected  # (N, S)
    logits = logits.masked_fill(target[:, None] == negatives, -torch.inf)  # (N, S)
    return (torch.logsumexp(torch.cat([positive[:, None], logits], dim=1), dim=1) - positive).mean()


class Objective:
    """Exact up to ``exact_up_to`` items, sampled above: the cost of a step stays bounded.

    Negatives are drawn in proportion to count^0.75 + 1, so popular items are met more often than rare ones
    and none is left out.
    """

    def __init__(self, target_counts: np.ndarray, exact_up_to: int, n_negatives: int, seed: int) -> None:
        self._exact = len(target_counts) <= exact_up_to
        self._generator = np.random.default_rng(seed)
        weights = target_counts.astype(np.float64) ** 0.75 + 1.0
        self._probability = weights / weights.sum()
        self._cumulative = np.cumsum(self._probability)
        self._n_negatives = n_negatives

    def __call__(self, users: Tensor, target: Tensor, table: ItemTable) -> Tensor:
        """Mean loss of ``users (N, D)`` for ``target (N,)``; a scalar."""
        if self._exact:
            return full_softmax_loss(users, target, table)
        drawn = np.searchsorted(self._cumulative, self._generator.random(self._n_negatives))
        drawn = np.minimum(drawn, len(self._cumulative) - 1)
        log_expected = np.log(self._n_negatives * self._probability[drawn]).astype(np.float32)
        sample = torch.from_numpy(drawn), torch.from_numpy(log_expected)
        return sampled_softmax_loss(users, target, table, *sample)
