"""The classic recurrent baseline: embedding, long short-term memory, output layer.

Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; with event types and the time since the
event before as inputs too. The output layer is the item table, as for every encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from services.trainer.model.encoders.recurrence import Recurrence
from services.trainer.model.encoders.signature import Body, EncoderConfig


@dataclass(frozen=True)
class LstmConfig(EncoderConfig):
    """Shape of the network.

    Attributes:
        hidden: width of its state.
        layers: recurrent layers, >= 1.
        gap_knots: resolution of the piecewise-linear input of the log time since the event before.
    """

    kind: ClassVar[str] = "lstm"
    hidden: int = 128
    layers: int = 1
    gap_knots: int = 8

    def body(self) -> Body:
        """A plain recurrence."""
        between = self.dropout if self.layers > 1 else 0.0
        network = nn.LSTM(self.d_model, self.hidden, self.layers, batch_first=True, dropout=between)
        return Recurrence(network, self.gap_knots, residual=False)


PRESETS = {
    "small": LstmConfig(),
    "base": LstmConfig(d_model=128, hidden=256),
    "large": LstmConfig(d_model=256, hidden=512, layers=2, learning_rate=5e-4),
}
