"""The loop: batches and gradient steps, for as many passes as planned or for as long as they help."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from services.trainer.model.averaging import AveragedWeights
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
from services.trainer.model.plateau import Judge, Plateau
from services.trainer.model.schedules import CosineSchedule, Schedule, SteadySchedule
from services.trainer.model.sequences import TokenBatch, TrainingRows, count_batches, token_batches

_REPORT_EVERY = 20
_GRADIENT_NORM = 5.0


class Fit:
    """One run over one set of rows.

    Attributes:
        encoder: being trained.
        table: being trained.
        curve: reports so far.
        passes: passes over the events behind the weights that it ended with.
    """

    def __init__(
        self,
        encoder: UserEncoder,
        table: ItemTable,
        rows: TrainingRows,
        plan: TrainingPlan,
        judge: Judge | None = None,
    ) -> None:
        """judge: with it the run goes on for as long as that helps, else for the passes of the plan."""
        self.encoder, self.table, self.curve = encoder, table, list[Progress]()
        self._rows, self._plan = rows, plan
        self._way = plan.passing(len(rows))
        self._usual_steps = self._steps_of(plan.epochs_for(len(rows)))
        self._objective = _objective(rows, len(table.biases), plan)
        self._optimizer = _optimizer(encoder, table, plan)
        self.passes = plan.most_epochs if judge else plan.epochs_for(len(rows))
        kind = SteadySchedule if judge else CosineSchedule
        self._schedule: Schedule = kind(self._steps_of(self.passes), plan.max_minutes * 60.0)
        self._plateau = Plateau(AveragedWeights(self._parameters), judge) if judge else None
        self._step, self._examples, self._losses = 0, 0, list[float]()

    @property
    def capped(self) -> bool:
        """Whether the time cap shortened the schedule."""
        return self._schedule.capped

    def run(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        """All passes, or those that help.

        Raises:
            TrainingCancelled: ``should_stop`` said so.
            TrainingDiverged: the loss became infinite or NaN.
        """
        started = time.monotonic()
        for epoch in range(self.passes):
            self.encoder.train()
            for batch in self._batches(epoch):
                if should_stop():
                    raise TrainingCancelled(f"stopped after {self._step} of {self._schedule.total} steps")
                self._take_step(batch)
                self._note(time.monotonic() - started, on_progress)
                if self._done:
                    break
            if self._plateau:
                self._plateau.passed()
            if self._done or (self._plateau and self._plateau.reached):
                break
        if self._plateau:
            self.passes = self._plateau.take_best()

    @property
    def _done(self) -> bool:
        return self._step >= self._schedule.total

    def _note(self, elapsed: float, on_progress: OnProgress) -> None:
        self._schedule.observe(self._step, elapsed)
        if self._done or self._step % _REPORT_EVERY == 0:
            self._report(on_progress, elapsed)

    def _batches(self, epoch: int) -> Iterator[TokenBatch]:
        generator = np.random.default_rng([self._plan.seed, epoch])
        return token_batches(self._rows, self._way, generator)

    def _steps_of(self, epochs: int) -> int:
        generators = (np.random.default_rng([self._plan.seed, epoch]) for epoch in range(epochs))
        return sum(count_batches(self._rows, self._way, each) for each in generators)

    def _take_step(self, batch: TokenBatch) -> None:
        examples = self._examples_of(batch)
        if not len(examples.target):
            self._step += 1
            return
        trim_share = self._plan.trim_share_at(self._step / max(self._usual_steps, 1))
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

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def _apply(self) -> None:
        torch.nn.utils.clip_grad_norm_(self._parameters, _GRADIENT_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.peak_rate * self._schedule.rate(self._step)
        self._optimizer.step()
        if self._plateau:
            self._plateau.stepped()

    def _report(self, on_progress: OnProgress, elapsed: float) -> None:
        left = max(self._schedule.total - self._step, 0) * elapsed / self._step
        speed = self._examples / max(elapsed, 1e-9)
        mean_loss = sum(self._losses) / max(len(self._losses), 1)
        report = Progress(self._step, self._schedule.total, mean_loss, speed, left)
        self._losses.clear()
        self.curve.append(report)
        on_progress(report)


def _objective(rows: TrainingRows, n_items: int, plan: TrainingPlan) -> Objective:
    counts = np.bincount(rows.item[rows.is_target], minlength=n_items)
    calibration = plan.gbce_calibration if plan.loss == "gbce" else None
    return Objective(counts, plan.exact_up_to, plan.n_negatives, plan.seed, calibration)


def _optimizer(encoder: UserEncoder, table: ItemTable, plan: TrainingPlan) -> torch.optim.Optimizer:
    """AdamW; biases and gains of the encoder, and item biases, are not decayed."""
    matrices = [p for p in encoder.parameters() if p.dim() > 1]
    others = [p for p in encoder.parameters() if p.dim() <= 1]
    groups = [
        {"params": [table.vectors, *matrices], "weight_decay": plan.weight_decay},
        {"params": [table.biases, *others], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(0.9, 0.98))
