"""What the attending encoders share: layers in which positions ask positions, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from services.trainer.model.encoders.gaps import Pairs, all_pairs, last_pairs
from services.trainer.model.encoders.signature import Body


class Layer(nn.Module, ABC):
    """One layer of a stack."""

    @abstractmethod
    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """Every position asks: ``(B, T, D) float32`` to the same; Q = T in ``pairs``."""

    @abstractmethod
    def last(self, x: Tensor, pairs: Pairs) -> Tensor:
        """``forward(...)[:, -1:]``, ``(B, 1, D) float32``: only position T-1 asks; Q = 1 in ``pairs``."""


class Stack(Body):
    """Layers, one after the other; at least one."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.forward`."""
        pairs = all_pairs(age_seconds, mask)
        for layer in self.layers:
            x = layer(x, pairs)  # (B, T, D)
        return x

    def last(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.last`: the last layer works for one position only."""
        if len(self.layers) > 1:
            pairs = all_pairs(age_seconds, mask)
            for layer in self.layers[:-1]:
                x = layer(x, pairs)  # (B, T, D)
        return cast(Layer, self.layers[-1]).last(x, last_pairs(age_seconds, mask))  # (B, 1, D)
