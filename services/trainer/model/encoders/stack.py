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

    def __init__(self, layers: Iterable[Layer], gap_knots: int) -> None:
        """gap_knots: resolution of the time between two events, as the layers read it."""
        super().__init__()
        self.layers, self.gap_knots = nn.ModuleList(layers), gap_knots

    def forward(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.forward`."""
        return self.among(x, all_pairs(age_seconds, mask, self.gap_knots))

    def among(self, x: Tensor, pairs: Pairs) -> Tensor:
        """The same where the pairs of all positions are known."""
        for layer in self.layers:
            x = layer(x, pairs)  # (B, T, D)
        return x

    def last(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.last`: the last layer works for one position only."""
        return self.last_among(x, age_seconds, mask, last_pairs(age_seconds, mask, self.gap_knots))

    def last_among(self, x: Tensor, age_seconds: Tensor, mask: Tensor, pairs: Pairs) -> Tensor:
        """The same where the pairs of the last position are known."""
        if len(self.layers) > 1:
            everybody = all_pairs(age_seconds, mask, self.gap_knots)
            for layer in self.layers[:-1]:
                x = layer(x, everybody)  # (B, T, D)
        return cast(Layer, self.layers[-1]).last(x, pairs)  # (B, 1, D)
