"""GRU4Rec (Hidasi et al. 2016, https://arxiv.org/abs/1511.06939) in its modern form.

Gated recurrent units over a history, learned with cross-entropy over the catalogue and item vectors shared
between input and output (Hidasi & Karatzoglou 2018; Petrov & Macdonald 2022); here with event types, the time
since the event before, and a residual connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from services.trainer.model.encoders.recurrence import Recurrence
from services.trainer.model.encoders.signature import Body, EncoderConfig


@dataclass(frozen=True)
class GruConfig(EncoderConfig):
    """Shape of the network.

    Attributes:
        hidden: width of its state.
        layers: recurrent layers, >= 1.
        gap_knots: resolution of the piecewise-linear input of the log time since the event before.
    """

    kind: ClassVar[str] = "gru"
    hidden: int = 128
    layers: int = 1
    gap_knots: int = 8

    def body(self) -> Body:
        """A gated recurrence with a residual connection."""
        between = self.dropout if self.layers > 1 else 0.0
        network = nn.GRU(self.d_model, self.hidden, self.layers, batch_first=True, dropout=between)
        return Recurrence(network, self.gap_knots, residual=True)


PRESETS = {
    "small": GruConfig(),
    "base": GruConfig(d_model=128, hidden=256),
    "large": GruConfig(d_model=256, hidden=512, layers=2, learning_rate=5e-4),
}
