"""What the recurrent encoders share: a recurrence that starts at a history's first event, not at its padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from services.trainer.model.encoders.gaps import PreviousGap
from services.trainer.model.encoders.signature import Body, SequenceConfig


@dataclass(frozen=True)
class RecurrentConfig(SequenceConfig):
    """Shape of the network.

    Attributes:
        network: its kind.
        residual: whether an event's input is added to its output.
        hidden: width of its state.
        layers: recurrent layers, >= 1.
        gap_knots: resolution of the piecewise-linear input of the log time since the event before.
    """

    network: ClassVar[type[nn.GRU] | type[nn.LSTM]]
    residual: ClassVar[bool]
    hidden: int = 128
    layers: int = 1
    gap_knots: int = 8

    def body(self) -> Body:
        """The recurrence."""
        between = self.dropout if self.layers > 1 else 0.0
        network = self.network(self.d_model, self.hidden, self.layers, batch_first=True, dropout=between)
        return Recurrence(network, self.gap_knots, self.residual)


class Recurrence(Body):
    """A recurrent network over item vectors, event types and the time since the event before."""

    def __init__(self, network: nn.GRU | nn.LSTM, gap_knots: int, residual: bool) -> None:
        """network: batch first. residual: whether an event's input is added to its output."""
        super().__init__()
        self.gap = PreviousGap(network.input_size, gap_knots)
        self.network = network
        self.output = nn.Linear(network.hidden_size, network.input_size)
        self.residual = residual

    def forward(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.forward`. Histories are moved to the left for the recurrence, and back."""
        x = x + self.gap(age_seconds, mask)  # (B, T, D)
        padding = (~mask).sum(1, keepdim=True)  # (B, 1)
        order = torch.arange(mask.shape[1], device=mask.device)  # (T,)
        to_left = torch.minimum(order + padding, order[-1:])  # (B, T)
        states, _ = self.network(_at(x, to_left))  # (B, T, hidden)
        mixed = self.output(_at(states, (order - padding).clamp(min=0)))  # (B, T, D)
        return x + mixed if self.residual else mixed


def _at(x: Tensor, index: Tensor) -> Tensor:
    """``(B, T, D)``: for each row the positions ``index (B, T) int64``."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
