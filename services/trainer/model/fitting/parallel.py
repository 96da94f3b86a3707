"""Data-parallel training: several processes, on one machine or on several, train one model.

Every rank holds the whole model and the whole data, and learns its share of each step's windows. Gradients are
summed over the ranks, each weighted by the examples behind it, so that a step is the step one process would take
over all the windows, up to the order in which floats are added (synchronous SGD: Goyal et al. 2017,
https://arxiv.org/abs/1706.02677, section 3). The negatives of a sampled loss are the same on all ranks, as within
a batch; dropout is drawn by every rank for itself; the worst share of the examples (`trim_share`) is left out of
each rank's own.

Decision: no `DistributedDataParallel`. It averages over ranks whatever they hold, and ranks do not hold equally many
examples; and the item table stands beside the encoder, not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from services.trainer.model.sequences import TokenBatch


class RanksDiffer(ValueError):
    """Ranks were given different events or plans."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes that train together, as one of them sees them; alone where nobody started others."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Those of this process."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that reports, judges and writes."""
        return self.rank == 0

    def share_of(self, batch: TokenBatch) -> TokenBatch:
        """The windows of this rank. A rank without any gets one that teaches nothing, to stay in step."""
        if self.alone:
            return batch
        own = _rows(batch, np.arange(self.rank, len(batch.item), self.count))
        return own if len(own.item) else _silent(_rows(batch, np.arange(1)))

    def weighted_mean(self, value: float, weight: float) -> tuple[float, float]:
        """The mean of all ranks' values by their weights, and this rank's share of the weights in [0, 1]."""
        if self.alone:
            return value, 1.0
        sums = torch.tensor([value * weight, weight], dtype=torch.float64)
        dist.all_reduce(sums)
        total = max(float(sums[1]), 1e-9)
        return float(sums[0]) / total, weight / total

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Every rank has the sum of all ranks' gradients afterwards, the same bits everywhere."""
        if self.alone:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def number_of_first(self, value: float) -> float:
        """What the first rank gave."""
        if self.alone:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(held, src=0)
        return float(held)

    def of_first(self, value: Any) -> Any:
        """What the first rank gave; for plain values, arrays and tensors on the CPU."""
        if self.alone:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def agree_on(self, key: str) -> None:
        """Raises RanksDiffer when another rank has another key."""
        if self.of_first(key) != key:
            raise RanksDiffer(
                f"rank {self.rank} has other events or another plan than rank 0: give all the same"
            )

    def start_like_first(self, tensors: Iterable[Tensor]) -> None:
        """The first rank's values everywhere: libraries of linear algebra differ from machine to machine."""
        if self.alone:
            return
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)

    def draw_apart(self, seed: int, step: int) -> None:
        """From ``step`` on, dropout of this rank is its own; that of the first is what one process would draw."""
        if not self.first:
            drawn = np.random.SeedSequence([seed, self.rank, step]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0]))


@contextmanager
def process_group(timeout_seconds: float) -> Iterator[Ranks]:
    """Meets the other ranks that torchrun started (it tells by RANK, WORLD_SIZE and MASTER_...); alone without it.

    A rank that dies breaks its connections, which ends the others with a RuntimeError in their next step; one that
    hangs does so after ``timeout_seconds``.
    """
    if "RANK" not in os.environ:
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    try:
        yield Ranks.here()
    finally:
        dist.destroy_process_group()


def _rows(batch: TokenBatch, index: np.ndarray) -> TokenBatch:
    return TokenBatch(**{field.name: getattr(batch, field.name)[index] for field in fields(batch)})


def _silent(batch: TokenBatch) -> TokenBatch:
    return replace(
        batch,
        target=np.full_like(batch.target, -1),
        label_weight=np.zeros_like(batch.label_weight),
        first_item=np.full_like(batch.first_item, -1),
        first_weight=np.zeros_like(batch.first_weight),
    )
