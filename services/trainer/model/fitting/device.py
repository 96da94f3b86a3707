"""Where steps are computed, and how precisely.

On a CPU everything is float32, and a run repeats itself bit by bit. On a GPU matrices are multiplied in bfloat16
(mixed precision: weights, sums and losses stay float32; Micikevicius et al. 2018,
https://arxiv.org/abs/1710.03740), whose range is that of float32, so that the loss needs no scaling. There, sums of
gradients are added up in any order: a run comes close to itself, no more.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.trainer.model.encoders.names import DEVICES


class DeviceMissing(ValueError):
    """The device that was asked for is not there."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device. at: as torch names it. mixed: whether matrices are multiplied in bfloat16."""

    at: torch.device
    mixed: bool

    def precision(self) -> AbstractContextManager[Any]:
        """Within it, a step's forward pass is as precise as it is to be."""
        return torch.autocast(self.at.type, torch.bfloat16) if self.mixed else nullcontext()

    def tensor(self, array: np.ndarray) -> Tensor:
        """The array's values on the device, of the same shape and dtype."""
        return torch.from_numpy(array).to(self.at)

    @property
    def forked(self) -> list[torch.device]:
        """Devices whose random state is not torch's own: what `torch.random.fork_rng` is told."""
        return [self.at] if self.at.type == "cuda" else []

    def random_state(self) -> list[Tensor]:
        """Of what draws dropout, each ``(n,) uint8``."""
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(at) for at in self.forked)]

    def set_random_state(self, state: list[Tensor]) -> None:
        """Puts back what `random_state` gave, on a device of the same kind."""
        torch.set_rng_state(state[0])
        for at, drawn in zip(self.forked, state[1:], strict=True):
            torch.cuda.set_rng_state(drawn, at)


def device_of(name: str, mixed_precision: bool | None = None) -> Device:
    """The device that a setting names.

    Args:
        name: "cpu", "cuda", or "auto": a GPU where there is one. Of several GPUs the process takes that of its rank
            on this machine, which torchrun tells by LOCAL_RANK.
        mixed_precision: None: on a GPU only.

    Raises:
        ValueError: no device has that name.
        DeviceMissing: there is no GPU that torch can use.
    """
    if name not in DEVICES:
        raise ValueError(f"there is no device {name!r}; there are {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise DeviceMissing("device cuda: torch finds no GPU it can use; choose cpu or auto")
    if name == "cpu" or not has_gpu:
        return Device(torch.device("cpu"), bool(mixed_precision))
    number = int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count()
    return Device(torch.device("cuda", number), mixed_precision is not False)
