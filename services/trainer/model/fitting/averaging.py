"""Averages of the weights over the newest steps: a better model than the last step, for the price of an addition.

Polyak & Juditsky (1992) averaged all steps. Here the window grows with the run, as a power-function average (Karras et
al. 2024, https://arxiv.org/abs/2312.02696, eq. 2 and 127): early steps, which are far off, are forgotten, and no length
has to be known in advance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

GROWTH = 10.0
"""The window is about a ``GROWTH``-th of the steps so far."""
_HELD = ("average", "kept")
LONGEST = 0.999
"""Largest weight of the old average: the window grows to a thousand steps at most."""


class AveragedWeights:
    """The running average of parameters that are being trained, and the best of its states."""

    def __init__(self, parameters: Iterable[nn.Parameter], tables: Iterable[nn.Parameter] = ()) -> None:
        """tables: more parameters, ``(V, ...)`` each, of which a step changes some rows only: those that it is told of
        by `changes`."""
        whole, tables = list(parameters), list(tables)
        self._parameters: list[Tensor] = [*whole, *tables]
        self._average, self._kept = _copies(self._parameters), _copies(self._parameters)
        self._whole = len(whole)
        self._steps, self._faded = 0, 0.0
        rows = len(tables[0]) if tables else 0
        # (V,): what `_faded` was as each row's average was up to date.
        self._faded_at = torch.zeros(rows, dtype=torch.float64)

    @torch.no_grad()
    def step(self) -> None:
        """The optimiser has taken a step."""
        self._steps += 1
        old = min(LONGEST, 1.0 - 1.0 / (self._steps / GROWTH + 1.0))
        torch._foreach_lerp_(self._average[: self._whole], self._parameters[: self._whole], 1.0 - old)
        self._faded += math.log(old)

    @torch.no_grad()
    def changes(self, rows: Tensor) -> None:
        """These rows of the tables, ``(R,) int64``, change with the next step: so far they were as they are."""
        old = (self._faded - self._faded_at[rows]).exp().float()  # (R,)
        for average, table in zip(self._average[self._whole :], self._parameters[self._whole :], strict=True):
            weight = old.view(-1, *[1] * (table.dim() - 1))
            average.index_copy_(0, rows, torch.lerp(table[rows], average[rows], weight))
        self._faded_at[rows] = self._faded

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While the context lasts the parameters hold their averages."""
        self.changes(torch.arange(len(self._faded_at)))
        trained = _copies(self._parameters)
        _write(self._parameters, self._average)
        try:
            yield
        finally:
            _write(self._parameters, trained)

    def keep(self) -> None:
        """The averages as they are now are the best so far."""
        self._kept = _copies(self._average)

    def take_best(self) -> None:
        """Puts the best averages into the parameters, for good: the parameters of the beginning where none was kept."""
        _write(self._parameters, self._kept)

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        held = {"average": self._average, "kept": self._kept, "steps": self._steps}
        return {**held, "faded": self._faded, "faded_at": self._faded_at}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where another stood, whose parameters had the same shapes."""
        at = [parameter.device for parameter in self._parameters]
        held = ([value.to(where) for value, where in zip(state[name], at, strict=True)] for name in _HELD)
        self._average, self._kept = held
        self._steps, self._faded, self._faded_at = state["steps"], state["faded"], state["faded_at"]


def _copies(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def _write(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
