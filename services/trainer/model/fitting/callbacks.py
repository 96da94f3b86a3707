"""What a lesson calls while it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from services.trainer.model.fitting.checkpoint import Checkpoints
from services.trainer.model.fitting.plan import OnProgress, ignore_progress


@dataclass(frozen=True, slots=True)
class Callbacks:
    """on_progress: called every few steps and after the last one, in the thread that learns. checkpoints: of the run
    that the lesson is a part of, which goes on from its own; None for none."""

    on_progress: OnProgress = ignore_progress
    checkpoints: Checkpoints | None = None


NO_CALLBACKS = Callbacks()
