"""AdamW for an item table of which a step touches few rows: it costs what it touches, whatever the catalogue holds.

AdamW (Loshchilov & Hutter 2019) moves every row in every step: its moments fade, it coasts on what they hold, and it
decays. Over the steps s + 1 to t, in which nothing is learned of a row, that has a closed form, with m and v as they
were after step s, r = beta1 / sqrt(beta2) and c_i = rate_i sqrt(1 - beta2^i) / (1 - beta1^i):

    row *= (1 - rate_i decay) for each i,   row -= m / sqrt(v) (c_{s+1} r + c_{s+2} r^2 + ... + c_t r^{t-s}),
    m *= beta1^{t-s},   v *= beta2^{t-s}

So a row is brought up to date when it is read next. Decision: not torch's SparseAdam, which leaves out the coasting. A
row that is touched once goes seven tenths of a rate in that step and six rates in those behind it, so rare items would
learn a tenth as much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from services.trainer.model.fitting.competition import Sample
from services.trainer.model.fitting.objective import ItemTable
from services.trainer.model.sequences import TokenBatch

BETAS = (0.9, 0.98)
_EPSILON = 1e-8
_FADING = BETAS[0] / math.sqrt(BETAS[1])
_FELT_STEPS = 256
"""For so long a row coasts; 3e-11 of it would be left."""
_FADED = _FADING ** np.arange(_FELT_STEPS, 0, -1)
_CHUNK_ROWS = 65_536


class AtHand(NamedTuple):
    """What one step works on: a batch, a sample and a table that speak of the same rows.

    rows: ``(R,) int64``, where the table's rows stand in the whole one, ascending.
    """

    batch: TokenBatch
    sample: Sample
    table: ItemTable
    rows: Tensor


@dataclass
class _Moments:
    """Of one parameter, ``(V, ...) float32`` each; decay: of its weights, per rate."""

    values: Tensor
    first: Tensor
    second: Tensor
    decay: float


class Missed(NamedTuple):
    """What rows have missed, ``(R,) float32`` each: steps, the way that they coast, and the sum of rates."""

    steps: Tensor
    way: Tensor
    rates: Tensor


class Steps:
    """The steps so far, and what each row that stands at one of them has missed since."""

    def __init__(self) -> None:
        self.taken = 0
        self._ways, self._rates = np.zeros(1024), np.zeros(1024)  # by step; rates are summed up

    def take(self, rate: float) -> float:
        """One more. Returns how far a row goes by it for each m / sqrt(v)."""
        self.taken += 1
        if self.taken >= len(self._ways):
            self._ways, self._rates = (
                np.append(each, np.zeros_like(each)) for each in (self._ways, self._rates)
            )
        of_first, of_second = (1.0 - beta**self.taken for beta in BETAS)
        pace = rate * math.sqrt(of_second) / of_first
        felt = min(self.taken, _FELT_STEPS)
        self._ways[self.taken - felt : self.taken] += pace * _FADED[-felt:]
        self._rates[self.taken] = self._rates[self.taken - 1] + rate
        return pace

    def missed(self, at: Tensor) -> Missed:
        """By rows that stand at these steps, ``(R,) int64``."""
        rates = self._rates[self.taken] - self._rates[at.numpy()]
        found = (self.taken - at, torch.from_numpy(self._ways[at.numpy()]), torch.from_numpy(rates))
        return Missed(*(each.float() for each in found))

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        ways, rates = (torch.from_numpy(each.copy()) for each in (self._ways, self._rates))
        return {"taken": self.taken, "ways": ways, "rates": rates}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another stood."""
        self.taken = state["taken"]
        self._ways, self._rates = state["ways"].numpy(), state["rates"].numpy()


class SparseAdamW:
    """Trains an item table on the CPU. Between steps only what `catch_up` has brought up to date may be read."""

    def __init__(self, table: ItemTable, weight_decay: float) -> None:
        """weight_decay: of vectors; biases do not decay."""
        self._table = table
        self._moments = [
            _Moments(each.detach(), torch.zeros_like(each), torch.zeros_like(each), decay)
            for each, decay in ((table.vectors, weight_decay), (table.biases, 0.0))
        ]
        self._steps = Steps()
        # (V,): the step at which each row stands.
        self._at = torch.zeros(len(table.biases), dtype=torch.int64)

    def at_hand(self, batch: TokenBatch, sample: Sample) -> AtHand:
        """What a step needs, rows brought up to date; the table is a copy, which gathers gradients."""
        named = (batch.item.ravel(), batch.target.ravel(), batch.first_item, sample.item.numpy())
        rows = np.unique(np.concatenate(named))
        rows = rows[rows >= 0]
        index = torch.from_numpy(rows)
        self.catch_up(index)
        sample = sample._replace(item=torch.from_numpy(np.searchsorted(rows, sample.item.numpy())))
        return AtHand(_renamed(batch, rows), sample, self._table.part(index), index)

    @torch.no_grad()
    def step(self, at_hand: AtHand, rate: float) -> None:
        """Learn from the gradients of the rows at hand."""
        pace = self._steps.take(rate)
        for moments, part in zip(self._moments, (at_hand.table.vectors, at_hand.table.biases), strict=True):
            kept = part.detach() * (1.0 - rate * moments.decay)
            gradient = torch.zeros_like(kept) if part.grad is None else part.grad
            _move(moments, at_hand.rows, kept, (gradient, pace))
        self._at[at_hand.rows] = self._steps.taken

    @torch.no_grad()
    def catch_up(self, rows: Tensor | None = None) -> None:
        """Take the steps that rows have missed. rows: ``(R,) int64``, each once; None for all."""
        every = torch.arange(len(self._at)) if rows is None else rows
        for chunk in every.split(_CHUNK_ROWS):
            behind = chunk[self._at[chunk] < self._steps.taken]
            missed = self._steps.missed(self._at[behind])
            for moments in self._moments:
                _coast(moments, behind, missed)
            self._at[behind] = self._steps.taken

    def state(self) -> dict[str, Any]:
        """What `restore` takes, beside the table itself."""
        held = [[each.first, each.second] for each in self._moments]
        return {"moments": held, "at": self._at, "steps": self._steps.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another stood."""
        for moments, (first, second) in zip(self._moments, state["moments"], strict=True):
            moments.first, moments.second = first, second
        self._at = state["at"]
        self._steps.restore(state["steps"])


def _move(moments: _Moments, rows: Tensor, kept: Tensor, learned: tuple[Tensor, float]) -> None:
    """learned: the gradient, and how far it goes."""
    gradient, pace = learned
    first = moments.first[rows].lerp_(gradient, 1.0 - BETAS[0])
    second = moments.second[rows].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1.0 - BETAS[1])
    _put(moments, rows, (kept - pace * first / (second.sqrt() + _EPSILON), first, second))


def _coast(moments: _Moments, rows: Tensor, missed: Missed) -> None:
    steps, way, rates = (each.view(-1, *[1] * (moments.values.dim() - 1)) for each in missed)
    first, second = moments.first[rows], moments.second[rows]
    kept = moments.values[rows] * (-moments.decay * rates).exp()
    moved = way * first / (second.sqrt() + _EPSILON)
    _put(moments, rows, (kept - moved, first * BETAS[0] ** steps, second * BETAS[1] ** steps))


def _put(moments: _Moments, rows: Tensor, found: tuple[Tensor, Tensor, Tensor]) -> None:
    for whole, part in zip((moments.values, moments.first, moments.second), found, strict=True):
        whole.index_copy_(0, rows, part)


def _renamed(batch: TokenBatch, rows: np.ndarray) -> TokenBatch:
    """The batch with places in ``rows`` instead of items; -1 stays."""

    def place(item: np.ndarray) -> np.ndarray:
        return np.where(item < 0, -1, np.searchsorted(rows, item))

    return replace(
        batch, item=place(batch.item), target=place(batch.target), first_item=place(batch.first_item)
    )
