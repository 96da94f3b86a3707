"""NextItNet: dilated causal convolutions (Yuan et al. 2019, https://arxiv.org/abs/1808.05163).

Each residual block is two convolutions over time, the second with twice the dilation of the first, so that a
few blocks look far back; every output sees only what came before. What stands under the mask is zeroed before
every convolution, which makes padding the same as the start of a history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.trainer.model.encoders.dropout import Dropout
from services.trainer.model.encoders.gaps import PreviousGap
from services.trainer.model.encoders.signature import Body, SequenceConfig


@dataclass(frozen=True)
class CnnConfig(SequenceConfig):
    """Shape of the network.

    Attributes:
        kernel: taps per convolution, >= 2.
        dilations: one residual block each; distances between the taps of its first convolution.
        gap_knots: resolution of the piecewise-linear input of the log time since the event before.
    """

    kind: ClassVar[str] = "cnn"
    kernel: int = 3
    dilations: tuple[int, ...] = (1, 4)
    gap_knots: int = 8

    def body(self) -> Body:
        """A stack of residual blocks."""
        return Convolutions(self)


PRESETS = {
    "small": CnnConfig(),
    "base": CnnConfig(d_model=128, dilations=(1, 4, 1, 4)),
    "large": CnnConfig(d_model=256, dilations=(1, 4, 16, 1, 4, 16), learning_rate=5e-4),
}


class CausalConvolution(nn.Module):
    """LayerNorm, ReLU, and a convolution that reads no later position."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.reach = (kernel - 1) * dilation

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, D) float32`` to the same; ``mask (B, T) bool``."""
        x = torch.where(mask.unsqueeze(-1), torch.relu(self.norm(x)), 0.0)  # (B, T, D)
        padded = F.pad(x.transpose(1, 2), (self.reach, 0))  # (B, D, reach + T)
        return self.convolution(padded).transpose(1, 2)  # (B, T, D)


class ResidualBlock(nn.Module):
    """x + Convolution(Convolution(x)), dilations l and 2 l (figure 3b of the paper)."""

    def __init__(self, config: CnnConfig, dilation: int) -> None:
        super().__init__()
        self.near = CausalConvolution(config.d_model, config.kernel, dilation)
        self.far = CausalConvolution(config.d_model, config.kernel, 2 * dilation)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, T, D) float32`` to the same; ``mask (B, T) bool``."""
        return x + self.dropout(self.far(self.near(x, mask), mask))  # (B, T, D)


class Convolutions(Body):
    """Residual blocks, one after the other."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.gap = PreviousGap(config.d_model, config.gap_knots)
        self.blocks = nn.ModuleList(ResidualBlock(config, dilation) for dilation in config.dilations)

    def forward(self, x: Tensor, age_seconds: Tensor, mask: Tensor) -> Tensor:
        """See `Body.forward`."""
        x = x + self.gap(age_seconds, mask)  # (B, T, D)
        for block in self.blocks:
            x = block(x, mask)  # (B, T, D)
        return x
