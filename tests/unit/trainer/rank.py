"""One rank of `test_parallel`: `python -m tests.unit.trainer.rank train DIRECTORY`, or `judge DIRECTORY`, `die STEP` or
`differ _`."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

import numpy as np
import torch

from services.trainer.model.fitting.callbacks import Callbacks
from services.trainer.model.fitting.parallel import Ranks, process_group
from services.trainer.model.fitting.plan import Progress
from services.trainer.model.fitting.training import train
from tests.unit.trainer.builders import walks
from tests.unit.trainer.test_parallel import EVENTS, PLANS


def _train(ranks: Ranks, directory: str) -> None:
    for name, plan in PLANS.items():
        drawn: list[float] = []
        model = train(EVENTS, plan, Callbacks(lambda _, drawn=drawn: drawn.append(float(torch.rand(1)))))
        losses = [report.loss for report in model.curve]
        file = Path(directory) / f"{name}-{ranks.rank}.npz"
        np.savez(file, vectors=model.item_vectors, losses=losses, drawn=drawn[-1])


def _judge(ranks: Ranks, directory: str) -> None:
    """The first rank finds every pass better than the one before, others find it worse."""
    found = (np.full(1, number if ranks.first else -number) for number in count(1.0))
    model = train(EVENTS, PLANS["exact"], judge=lambda _: next(found))
    np.savez(Path(directory) / f"judged-{ranks.rank}.npz", vectors=model.item_vectors, passes=model.passes)


def _die(ranks: Ranks, _: str) -> None:
    def on_progress(_: Progress) -> None:
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    train(EVENTS, PLANS["exact"], Callbacks(on_progress))


def _differ(ranks: Ranks, _: str) -> None:
    train(walks(n_users=60, seed=ranks.rank), PLANS["exact"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group(60.0) as ranks:
        {"train": _train, "judge": _judge, "die": _die, "differ": _differ}[sys.argv[1]](ranks, sys.argv[2])
