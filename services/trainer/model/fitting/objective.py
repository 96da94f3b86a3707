"""The loss: what a user vector should say about the item that came next, exact or over a shared sample.

Two families. A *softmax* makes the items compete for one event; *gBCE* asks of each item on its own. Both learn
from events that say no (dislike, skip, refund) as well: for an item of probability p among V,

    loss = log(1 + V p)

which is the answer "noise" in noise-contrastive estimation against an even draw (Gutmann & Hyvärinen 2010); an item
that nobody would have recommended costs nothing.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.trainer.model.fitting.competition import Sample, losses_among, rivals


class ItemTable(nn.Module):
    """Item vectors, read as input and scored as output, and item biases.

    Attributes:
        vectors: ``(V, D) float32``.
        biases: ``(V,) float32``.
    """

    def __init__(self, vectors: np.ndarray | Tensor, biases: np.ndarray | Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.as_tensor(vectors, dtype=torch.float32).clone())
        self.biases = nn.Parameter(torch.as_tensor(biases, dtype=torch.float32).clone())

    def forward(self, item: Tensor) -> Tensor:
        """Vectors of the items: ``(...) int64`` to ``(..., D) float32``."""
        return F.embedding(item, self.vectors)

    def part(self, rows: Tensor) -> ItemTable:
        """A table of its own of some rows, ``(R,) int64``."""
        return ItemTable(self.vectors.detach()[rows], self.biases.detach()[rows])


class Examples(NamedTuple):
    """What a step learns from.

    users: ``(N, D) float32``. target: ``(N,) int64``, item indices. weight: ``(N,) float32``, how much each counts;
    below 0 where the event says no to its item.
    """

    users: Tensor
    target: Tensor
    weight: Tensor


class Loss(NamedTuple):
    """mean: over the examples, each by its weight, a scalar. weight: their sum, a scalar, float32."""

    mean: Tensor
    weight: Tensor


def full_softmax_losses(users: Tensor, target: Tensor, table: ItemTable) -> Tensor:
    """-log softmax(users . vectors' + biases)[target].

    Args:
        users: ``(N, D) float32``.
        target: ``(N,) int64``, item indices.
        table: all items compete.

    Returns:
        ``(N,) float32``, >= 0, in nats.
    """
    logits = F.linear(
        users, table.vectors, table.biases
    ).float()  # (N, V); precise also where products are not
    return F.cross_entropy(logits, target, reduction="none")  # (N,)


def sampled_softmax_losses(users: Tensor, target: Tensor, table: ItemTable, sample: Sample) -> Tensor:
    """Softmax losses against one sample of S items shared by the batch, with the logQ correction.

    A sampled item's logit is lowered by the log of how often it was expected in the sample, so that the sum
    of exponentials estimates that over the whole catalogue (Bengio & Senécal 2008; Yi et al. 2019, eq. 3). A
    sampled item that is the row's own target is left out.

    Args:
        users: ``(N, D) float32``.
        target: ``(N,) int64``.
        table: items.
        sample: the competition.

    Returns:
        ``(N,) float32``, >= 0, in nats.
    """
    positive = _scores(users, target, table)  # (N,)
    logits = _sample_scores(users, table, sample, sample.log_expected)  # (N, S)
    return losses_among(positive, logits, rivals(target, sample))


def gbce_losses(users: Tensor, target: Tensor, table: ItemTable, sample: Sample, power: float) -> Tensor:
    """-power log sigmoid(s+) - sum log sigmoid(-s-), the generalised binary cross-entropy.

    gSASRec (Petrov & Macdonald 2023, https://arxiv.org/abs/2308.07192, eq. 16): a sample holds too few negatives, so
    plain binary cross-entropy makes the model overconfident; `gbce_power` takes that back.

    Args:
        users: ``(N, D) float32``.
        target: ``(N,) int64``.
        table: items.
        sample: the negatives, drawn evenly; a row's own target is left out.
        power: of the positive's probability, in (0, 1].

    Returns:
        ``(N,) float32``, >= 0, in nats.
    """
    positive = F.logsigmoid(_scores(users, target, table))  # (N,)
    costs = F.softplus(_sample_scores(users, table, sample)) * rivals(target, sample)  # (N, S)
    return costs.sum(1) - power * positive


def gbce_power(n_negatives: int, n_items: int, calibration: float) -> float:
    """beta = a (t (1 - 1/a) + 1/a), a = S / (V - 1) (gSASRec, eq. 19).

    calibration: t in [0, 1]; 0 is plain binary cross-entropy (1.0), 1 takes all the overconfidence back (a).
    """
    rate = min(1.0, n_negatives / max(n_items - 1, 1))
    return rate * (calibration * (1.0 - 1.0 / rate) + 1.0 / rate)


def refused_losses(losses: Tensor, n_items: int) -> Tensor:
    """log(1 + V p) of ``losses (N,) float32`` = -log p: what it costs to have expected what was refused."""
    return F.softplus(math.log(n_items) - losses)


def without_worst(losses: Tensor, share: float) -> Tensor:
    """``(N,) bool``: all but the given share of the examples, those with the highest losses.

    Truncated cross-entropy (Wang et al. 2021, https://arxiv.org/abs/2006.04153): once a model has learned what is
    regular, what it finds least likely is mostly noise, and learning that by heart is what hurts.
    """
    dropped = int(share * len(losses))
    kept = torch.ones(len(losses), dtype=torch.bool, device=losses.device)
    if dropped:
        kept[losses.detach().topk(dropped).indices] = False
    return kept


class Objective:
    """Softmax exact up to ``exact_up_to`` items, sampled above, so that a step's logits stay bounded. gBCE: sampled.

    Negatives of the softmax are drawn in proportion to count^0.75 + 1, so popular items are met more often than
    rare ones and none is left out; those of gBCE evenly.
    """

    def __init__(
        self,
        target_counts: np.ndarray,
        exact_up_to: int,
        n_negatives: int,
        seed: int,
        gbce_calibration: float | None = None,
    ) -> None:
        """gbce_calibration: t of `gbce_power`; None for a softmax."""
        self._n_items = len(target_counts)
        self._exact = self._n_items <= exact_up_to
        self._generator = np.random.default_rng(seed)
        exponent = 0.75 if gbce_calibration is None else 0.0
        weights = target_counts.astype(np.float64) ** exponent + 1.0
        self._probability = weights / weights.sum()
        self._cumulative = np.cumsum(self._probability)
        self._n_negatives = n_negatives
        self._calibration = gbce_calibration

    def __call__(self, examples: Examples, table: ItemTable, trim_share: float = 0.0) -> Tensor:
        """The mean of `weighed`."""
        return self.weighed(examples, table, trim_share).mean

    @property
    def sampled(self) -> bool:
        """Whether items compete in samples."""
        return self._calibration is not None or not self._exact

    def weighed(
        self, examples: Examples, table: ItemTable, trim_share: float = 0.0, sample: Sample | None = None
    ) -> Loss:
        """Weighted mean loss, and how much weight is behind it.

        trim_share: share of the examples left out, those of the highest losses; events that say no all stay, and are
        none of those that the share is of. sample: None for one that is drawn here, where losses are `sampled`.
        """
        refused = examples.weight < 0  # (N,)
        if self.sampled and sample is None:
            sample = self.draw(table.vectors.device)
        losses = self._losses(examples, refused, table, sample)  # (N,)
        kept = torch.ones_like(refused)  # (N,)
        if trim_share:
            kept[~refused] = without_worst(losses[~refused], trim_share)
        weight = examples.weight.abs() * kept  # (N,)
        total = weight.sum()
        return Loss((losses * weight).sum() / total.clamp(min=1e-9), total)

    def random_state(self) -> dict[str, Any]:
        """Of what draws the samples, as JSON holds it."""
        return dict(self._generator.bit_generator.state)

    def set_random_state(self, state: dict[str, Any]) -> None:
        """Puts back what `random_state` gave."""
        self._generator.bit_generator.state = state

    def _losses(self, examples: Examples, refused: Tensor, table: ItemTable, sample: Sample | None) -> Tensor:
        users, target, _ = examples
        if sample is None:
            losses = full_softmax_losses(users, target, table)  # (N,)
        elif self._calibration is None:
            losses = sampled_softmax_losses(users, target, table, sample)  # (N,)
        else:
            power = gbce_power(self._n_negatives, self._n_items, self._calibration)
            losses = gbce_losses(users, target, table, sample, power)  # (N,)
            return torch.where(refused, F.softplus(_scores(users, target, table)), losses)
        return torch.where(refused, refused_losses(losses, self._n_items), losses)

    def draw(self, device: torch.device) -> Sample:
        """The competition of one step."""
        drawn = np.searchsorted(self._cumulative, self._generator.random(self._n_negatives))
        drawn = np.minimum(drawn, self._n_items - 1)
        log_expected = np.log(self._n_negatives * self._probability[drawn]).astype(np.float32)
        return Sample(torch.from_numpy(drawn).to(device), torch.from_numpy(log_expected).to(device))


def _scores(users: Tensor, item: Tensor, table: ItemTable) -> Tensor:
    """``(N,) float32``: each user's score of its own item."""
    return (users * table(item)).sum(-1) + table.biases[item]


def _sample_scores(
    users: Tensor, table: ItemTable, sample: Sample, lowered_by: Tensor | float = 0.0
) -> Tensor:
    """``(N, S) float32``: scores of the sample, lowered by so much."""
    biases = table.biases[sample.item] - lowered_by  # (S,)
    return F.linear(users, table(sample.item), biases).float()  # (N, S)
