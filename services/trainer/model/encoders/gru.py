"""GRU4Rec (Hidasi et al. 2016, https://arxiv.org/abs/1511.06939) in its modern form.

Gated recurrent units over a history, learned with cross-entropy over the catalogue and item vectors shared
between input and output (Hidasi & Karatzoglou 2018; Petrov & Macdonald 2022); here with event types, the time
since the event before, and a residual connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from services.trainer.model.encoders.recurrence import RecurrentConfig


@dataclass(frozen=True)
class GruConfig(RecurrentConfig):
    """Gated units with a residual connection."""

    kind: ClassVar[str] = "gru"
    network = nn.GRU
    residual = True


PRESETS = {
    "small": GruConfig(),
    "base": GruConfig(d_model=128, hidden=256),
    "large": GruConfig(d_model=256, hidden=512, layers=2, learning_rate=5e-4),
}
