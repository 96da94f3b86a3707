"""The classic recurrent baseline: embedding, long short-term memory, output layer.

Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; with event types and the time since the
event before as inputs too. The output layer is the item table, as for every encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from services.trainer.model.encoders.recurrence import RecurrentConfig


@dataclass(frozen=True)
class LstmConfig(RecurrentConfig):
    """Long short-term memory, plain."""

    kind: ClassVar[str] = "lstm"
    network = nn.LSTM
    residual = False


PRESETS = {
    "small": LstmConfig(),
    "base": LstmConfig(d_model=128, hidden=256),
    "large": LstmConfig(d_model=256, hidden=512, layers=2, learning_rate=5e-4),
}
