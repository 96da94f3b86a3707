"""The loop: batches, gradient steps, the learning-rate schedule and its time cap."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch

from services.trainer.model.encoders.signature import UserEncoder
from services.trainer.model.objective import Examples, ItemTable, Objective
from services.trainer.model.plan import (
    OnProgress,
    Progress,
    ShouldStop,
    TrainingCancelled,
    TrainingDiverged,
    TrainingPlan,
)
from services.trainer.model.sequences import TokenBatch, TrainingRows, token_batches

_REPORT_EVERY = 20
_MEASURE_AFTER = 20
_LONGEST_WARM_UP = 100
_GRADIENT_NORM = 5.0


class Schedule:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, eq. 5).

    The number of steps shrinks when the measured speed would overrun the time cap.

    Attributes:
        total: steps as now planned.
        capped: whether the time cap has shortened it.
    """

    def __init__(self, planned: int, max_seconds: float) -> None:
        self._planned, self._max_seconds = planned, max_seconds
        self.total, self.capped = planned, False

    def observe(self, step: int, elapsed: float) -> None:
        """Plans anew from ``step`` steps done in ``elapsed`` seconds."""
        if step < _MEASURE_AFTER and elapsed < self._max_seconds:
            return
        affordable = max(step, int(step * self._max_seconds / max(elapsed, 1e-9)))
        self.total = min(self._planned, affordable)
        self.capped = self.total < self._planned

    def rate(self, step: int) -> float:
        """Share of the peak learning rate for step ``step`` (from 0), in [0, 1]."""
        warm_up = max(1, min(_LONGEST_WARM_UP, self.total // 10))
        progress = min(step / max(self.total, 1), 1.0)
        return min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Fit:
    """One run over one set of rows.

    Attributes:
        encoder: being trained.
        table: being trained.
        curve: reports so far.
    """

    def __init__(
        self, encoder: UserEncoder, table: ItemTable, rows: TrainingRows, plan: TrainingPlan
    ) -> None:
        self.encoder, self.table, self.curve = encoder, table, list[Progress]()
        self._rows, self._plan = rows, plan
        self._tokens = plan.batch_tokens_for(len(rows))
        self._epochs = plan.epochs_for(len(rows))
        counts = np.bincount(rows.item[rows.is_target], minlength=len(table.biases))
        calibration = plan.gbce_calibration if plan.loss == "gbce" else None
        self._objective = Objective(counts, plan.exact_up_to, plan.n_negatives, plan.seed, calibration)
        self._optimizer = _optimizer(encoder, table, plan)
        self._schedule = Schedule(self._steps_planned(), plan.max_minutes * 60.0)
        self._step, self._examples, self._losses = 0, 0, list[float]()

    @property
    def capped(self) -> bool:
        """Whether the time cap shortened the schedule."""
        return self._schedule.capped

    def run(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        """All passes.

        Raises:
            TrainingCancelled: ``should_stop`` said so.
            TrainingDiverged: the loss became infinite or NaN.
        """
        self.encoder.train()
        started = time.monotonic()
        for batch in self._all_batches():
            if should_stop():
                raise TrainingCancelled(f"stopped after {self._step} of {self._schedule.total} steps")
            self._take_step(batch)
            elapsed = time.monotonic() - started
            self._schedule.observe(self._step, elapsed)
            done = self._step >= self._schedule.total
            if done or self._step % _REPORT_EVERY == 0:
                self._report(on_progress, elapsed)
            if done:
                break

    def _all_batches(self) -> Iterator[TokenBatch]:
        return chain.from_iterable(map(self._batches, range(self._epochs)))

    def _batches(self, epoch: int) -> Iterator[TokenBatch]:
        generator = np.random.default_rng([self._plan.seed, epoch])
        return token_batches(self._rows, self._plan.window, self._tokens, generator)

    def _steps_planned(self) -> int:
        return sum(1 for _ in self._all_batches())

    def _take_step(self, batch: TokenBatch) -> None:
        examples = self._examples_of(batch)
        if not len(examples.target):
            self._step += 1
            return
        trim_share = self._plan.trim_share_at(self._step / max(self._schedule.total, 1))
        loss = self._objective(examples, self.table, trim_share)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._apply()
        self._losses.append(loss.item())
        self._step, self._examples = self._step + 1, self._examples + len(examples.target)
        if not math.isfinite(self._losses[-1]):
            raise TrainingDiverged(f"the loss was {self._losses[-1]} at step {self._step}")

    def _examples_of(self, batch: TokenBatch) -> Examples:
        """What followed each event that something is learned from; newcomers' first events are examples too."""
        item, target = torch.from_numpy(batch.item), torch.from_numpy(batch.target)  # (B, T)
        ages, mask = torch.from_numpy(batch.age_seconds), torch.from_numpy(batch.mask)  # (B, T)
        vectors = self.encoder(self.table(item), torch.from_numpy(batch.event_type), ages, mask)  # (B, T, D)
        is_first, asked = batch.first_item >= 0, target >= 0  # (B,), (B, T)
        first = torch.from_numpy(batch.first_item[is_first])  # (F,)
        weight = torch.from_numpy(batch.label_weight)[asked], torch.from_numpy(batch.first_weight[is_first])
        newcomers = self.encoder.newcomer.expand(len(first), -1)  # (F, D)
        users = torch.cat([vectors[asked], newcomers])  # (N, D)
        return Examples(users, torch.cat([target[asked], first]), torch.cat(weight))

    def _apply(self) -> None:
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.peak_rate * self._schedule.rate(self._step)
        self._optimizer.step()

    def _report(self, on_progress: OnProgress, elapsed: float) -> None:
        left = max(self._schedule.total - self._step, 0) * elapsed / self._step
        speed = self._examples / max(elapsed, 1e-9)
        mean_loss = sum(self._losses) / max(len(self._losses), 1)
        report = Progress(self._step, self._schedule.total, mean_loss, speed, left)
        self._losses.clear()
        self.curve.append(report)
        on_progress(report)


def _optimizer(encoder: UserEncoder, table: ItemTable, plan: TrainingPlan) -> torch.optim.Optimizer:
    """AdamW; biases and gains of the encoder, and item biases, are not decayed."""
    matrices = [p for p in encoder.parameters() if p.dim() > 1]
    others = [p for p in encoder.parameters() if p.dim() <= 1]
    groups = [
        {"params": [table.vectors, *matrices], "weight_decay": plan.weight_decay},
        {"params": [table.biases, *others], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98))
