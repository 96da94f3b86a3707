"""Dropout whose masks are drawn a byte an activation.

Srivastava et al. 2014. By itself torch draws a number for each activation, one after the other on a CPU: a fifth of a
small encoder's step. Here one draw serves eight of them, from the same generator, so that a run still repeats itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 256
_BYTES_A_DRAW = 8
_LEAST = -(2**63)


class Dropout(nn.Module):
    """Drops a share of the activations in training and scales the others up; identity else.

    share: in [0, 1); on a CPU rounded to 1/256.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._dropped = round(share * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` of any shape, to the same shape."""
        if not self.training or not self._dropped:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        drawn = _bytes(x.numel()).view(x.shape)
        # By way of bool it would take eight times as long.
        kept = torch.ge(drawn, self._dropped, out=torch.empty_like(x))
        return x * kept.mul_(_LEVELS / (_LEVELS - self._dropped))


def _bytes(count: int) -> Tensor:
    """``(count,) uint8``, evenly drawn."""
    draws = torch.empty(-(-count // _BYTES_A_DRAW), dtype=torch.int64).random_(_LEAST, None)
    return draws.view(torch.uint8)[:count]
