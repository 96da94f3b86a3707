"""The loop: batches and gradient steps, for as many passes as planned or for as long as they help."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from itertools import chain

import numpy as np
import torch
from torch import nn

from services.trainer.model.encoders.signature import UserEncoder
from services.trainer.model.fitting.averaging import AveragedWeights
from services.trainer.model.fitting.callbacks import Callbacks
from services.trainer.model.fitting.checkpoint import Checkpoint, Checkpoints, State, key_of
from services.trainer.model.fitting.competition import Sample
from services.trainer.model.fitting.course import Course
from services.trainer.model.fitting.device import device_of
from services.trainer.model.fitting.objective import Examples, ItemTable, Loss, Objective
from services.trainer.model.fitting.parallel import Ranks
from services.trainer.model.fitting.plan import OnProgress, Progress, TrainingDiverged, TrainingPlan
from services.trainer.model.fitting.plateau import JudgeNow, Plateau
from services.trainer.model.fitting.schedules import CosineSchedule, Schedule, SteadySchedule
from services.trainer.model.fitting.sparse_adamw import BETAS, SparseAdamW
from services.trainer.model.sequences import TokenBatch, TrainingRows

_REPORT_EVERY = 20
_GRADIENT_NORM = 5.0
SPARSE_FROM = 50_000
"""Items from which on a step walks the rows it touches instead of the whole table."""


class Fit:
    """One run over one set of rows.

    Attributes:
        encoder: being trained.
        table: being trained.
        curve: reports so far.
        passes: passes over the events that help: of a judged run the last ones that answer no worse than the best.
        pass_seconds: time that a pass took; 0 for a run whose rate falls to zero.
        seconds: time that the run has taken so far, in all its parts.
    """

    def __init__(
        self,
        encoder: UserEncoder,
        table: ItemTable,
        rows: TrainingRows,
        plan: TrainingPlan,
        judge: JudgeNow | None = None,
    ) -> None:
        """judge: with it the run goes on for as long as that helps, else for the passes of the plan."""
        device = device_of(plan.device, plan.mixed_precision)
        self.encoder, self.table, self.curve = encoder.to(device.at), table.to(device.at), list[Progress]()
        self._rows, self._plan, self._device, self._ranks = rows, plan, device, Ranks.here()
        self._objective = _objective(rows, len(table.biases), plan)
        self._sparse = SparseAdamW(table, plan.weight_decay) if self._touches_few_rows else None
        self._optimizer = _optimizer(encoder, None if self._sparse else table, plan)
        self.passes = plan.most_epochs if judge else plan.epochs_for(len(rows))
        self._course = Course(rows, plan, self.passes)
        steady = judge is not None or plan.steady
        kind = SteadySchedule if steady else CosineSchedule
        self._schedule: Schedule = kind(self._course.steps, plan.max_minutes * 60.0)
        self._plateau = Plateau(self._averaged(), judge and self._by_first(judge)) if steady else None
        self.pass_seconds = 0.0
        self._step, self._examples, self._losses = 0, 0, list[float]()
        self.seconds, self._started = 0.0, 0.0

    def _by_first(self, judge: JudgeNow) -> JudgeNow:
        """The first rank's answers count for all: another machine may round otherwise, and all must end together."""
        return lambda: self._ranks.of_first(judge() if self._ranks.first else None)

    @property
    def capped(self) -> bool:
        """Whether the time cap shortened the schedule."""
        return self._schedule.capped

    def run(self, callbacks: Callbacks) -> None:
        """All passes, or what a checkpoint says is left of them.

        Raises:
            TrainingDiverged: the loss became infinite or NaN.
            RanksDiffer: the processes that train together were given different things.
        """
        self.encoder.train()
        self._meet_others()
        checkpoint = self._checkpoint_of(callbacks.checkpoints)
        self._take_up(checkpoint.saved() if checkpoint else None)
        if self._plateau and self._plan.learned_to and not self._step:
            self._plateau.begin()
        for batch in self._course.after(self._step) if not self._done else ():
            self._take_step(batch)
            self._note_time()
            self._judge_pass()
            if self._done or self._step % _REPORT_EVERY == 0:
                self._report(callbacks.on_progress)
            if checkpoint and (self._done or checkpoint.due):
                checkpoint.save(self._state())
            if self._done:
                break
        self._catch_up()
        if self._plateau:
            self._plateau.take_best()
            self.passes = self._plateau.last_good_pass
            self.pass_seconds = self.seconds / max(self._plateau.passes, 1)

    def _checkpoint_of(self, checkpoints: Checkpoints | None) -> Checkpoint | None:
        """The lesson's own; the first rank's counts for all."""
        return checkpoints.next_lesson(self._key()) if checkpoints and self._ranks.first else None

    def _judge_pass(self) -> None:
        """Behind the last step of a pass, or of all, the run is over when the newest passes were of no help."""
        if self._plateau and (self._done or self._course.ends_pass(self._step)):
            self._catch_up()
            self._plateau.passed()
            self._end_at_plateau(self._plateau)

    def _end_at_plateau(self, plateau: Plateau) -> None:
        if plateau.reached:
            self._schedule.total = self._step

    @property
    def _done(self) -> bool:
        return self._step >= self._schedule.total

    def _note_time(self) -> None:
        """The first rank's clock counts for all: the schedule must be the same everywhere."""
        self.seconds = self._ranks.number_of_first(time.monotonic() - self._started)
        self._schedule.observe(self._step, self.seconds)

    def _take_step(self, whole: TokenBatch) -> None:
        n_examples = np.count_nonzero(whole.target >= 0) + np.count_nonzero(whole.first_item >= 0)
        if n_examples and self._sparse:
            self._take_sparse_step(whole, self._sparse)
        elif n_examples:
            self._learn(self._loss_of(self._ranks.share_of(whole), self.table))
            self._apply()
        self._step, self._examples = self._step + 1, self._examples + int(n_examples)
        if self._losses and not math.isfinite(self._losses[-1]):
            raise TrainingDiverged(f"the loss was {self._losses[-1]} at step {self._step}")

    def _take_sparse_step(self, batch: TokenBatch, sparse: SparseAdamW) -> None:
        at_hand = sparse.at_hand(batch, self._objective.draw(self._device.at))
        if self._plateau:
            self._plateau.changes(at_hand.rows)
        self._learn(self._loss_of(at_hand.batch, at_hand.table, at_hand.sample))
        self._apply(at_hand.table)
        sparse.step(at_hand, self._rate)

    def _loss_of(self, batch: TokenBatch, table: ItemTable, sample: Sample | None = None) -> Loss:
        with self._device.precision():
            examples = self._examples_of(batch, table)
            trim_share = self._plan.trim_share_at(self._step / max(self._course.usual_steps, 1))
            return self._objective.weighed(examples, table, trim_share, sample)

    def _learn(self, loss: Loss) -> None:
        mean, share = self._ranks.weighted_mean(loss.mean.item(), loss.weight.item())
        self._optimizer.zero_grad(set_to_none=True)
        (loss.mean if self._ranks.alone else loss.mean * share).backward()
        self._losses.append(mean)

    def _examples_of(self, batch: TokenBatch, table: ItemTable) -> Examples:
        """What followed each event that something is learned from; newcomers' first events are examples too."""
        tensor = self._device.tensor
        item, target = tensor(batch.item), tensor(batch.target)  # (B, T)
        ages, mask = tensor(batch.age_seconds), tensor(batch.mask)  # (B, T)
        vectors = self.encoder(table(item), tensor(batch.event_type), ages, mask)  # (B, T, D)
        is_first, asked = batch.first_item >= 0, target >= 0  # (B,), (B, T)
        first = tensor(batch.first_item[is_first])  # (F,)
        weight = tensor(batch.label_weight)[asked], tensor(batch.first_weight[is_first])
        newcomers = self.encoder.newcomer.expand(len(first), -1)  # (F, D)
        users = torch.cat([vectors[asked].float(), newcomers])  # (N, D)
        return Examples(users, torch.cat([target[asked], first]), torch.cat(weight))

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    @property
    def _touches_few_rows(self) -> bool:
        """Whether steps are to be sparse. Rows at hand would differ from rank to rank; a GPU walks a table quickly."""
        here = self._ranks.alone and self._device.at.type == "cpu"
        return here and self._objective.sampled and len(self.table.biases) >= SPARSE_FROM

    def _averaged(self) -> AveragedWeights:
        return AveragedWeights(self._parameters, self.table.parameters() if self._sparse else ())

    @property
    def _rate(self) -> float:
        return self._plan.peak_rate * self._schedule.rate(self._step)

    def _apply(self, part: ItemTable | None = None) -> None:
        """part: of the table, that has gradients of its own."""
        self._ranks.sum_gradients(self._parameters)
        learned = [*self._parameters, *(part.parameters() if part else ())]
        torch.nn.utils.clip_grad_norm_(learned, _GRADIENT_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate
        self._optimizer.step()
        if self._plateau:
            self._plateau.stepped()

    def _catch_up(self) -> None:
        if self._sparse:
            self._sparse.catch_up()

    def _report(self, on_progress: OnProgress) -> None:
        left = max(self._schedule.total - self._step, 0) * self.seconds / self._step
        speed = self._examples / max(self.seconds, 1e-9)
        mean_loss = sum(self._losses) / max(len(self._losses), 1)
        report = Progress(self._step, self._schedule.total, mean_loss, speed, left)
        self._losses.clear()
        self.curve.append(report)
        on_progress(report)

    def _meet_others(self) -> None:
        if self._ranks.alone:
            return
        self._ranks.agree_on(self._given(self._plan))
        self._ranks.start_like_first(chain(self.encoder.parameters(), self.table.parameters()))

    def _given(self, plan: TrainingPlan) -> str:
        """Digest of the plan and of the events."""
        rows = self._rows
        arrays = rows.offsets, rows.item, rows.event_type, rows.time_ms, rows.label_weight
        return key_of([repr(plan), str(len(self.table.biases))], arrays)

    def _key(self) -> str:
        """Digest of all that the lesson is a function of; how much time is left changes with each attempt."""
        start = chain(self.encoder.state_dict().values(), self.table.state_dict().values())
        how = [self._given(self._plan.untimed), torch.__version__, str(self._device), str(self._ranks.count)]
        return key_of(how, (tensor.cpu().numpy() for tensor in start))

    def _take_up(self, saved: State | None) -> None:
        """Begins, or goes on from what the first rank has saved."""
        saved = self._ranks.of_first(saved)
        if saved is not None:
            self._restore(saved)
        self._ranks.draw_apart(self._plan.seed, self._step)
        self._started = time.monotonic() - self.seconds

    def _state(self) -> State:
        """What the rest of the lesson is a function of, beside the key."""
        return {
            "encoder": self.encoder.state_dict(),
            "table": self.table.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "sparse": self._sparse.state() if self._sparse else None,
            "dropout": self._device.random_state(),
            "negatives": json.dumps(self._objective.random_state()),
            "at": [self._step, self._examples, self.seconds],
            "losses": list(self._losses),
            "curve": [asdict(report) for report in self.curve],
            "plateau": self._plateau.state() if self._plateau else None,
        }

    def _restore(self, state: State) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.table.load_state_dict(state["table"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._sparse:
            self._sparse.restore(state["sparse"])
        self._device.set_random_state(state["dropout"])
        self._objective.set_random_state(json.loads(state["negatives"]))
        self._step, self._examples, self.seconds = state["at"]
        self._losses = list(state["losses"])
        self.curve = [Progress(**report) for report in state["curve"]]
        self._schedule.observe(self._step, self.seconds)
        if self._plateau:
            self._plateau.restore(state["plateau"])
            self._end_at_plateau(self._plateau)


def _objective(rows: TrainingRows, n_items: int, plan: TrainingPlan) -> Objective:
    counts = np.bincount(rows.item[rows.is_target], minlength=n_items)
    calibration = plan.gbce_calibration if plan.loss == "gbce" else None
    return Objective(counts, plan.exact_up_to, plan.n_negatives, plan.seed, calibration)


def _optimizer(encoder: UserEncoder, table: ItemTable | None, plan: TrainingPlan) -> torch.optim.Optimizer:
    """AdamW; biases and gains of the encoder, and item biases, are not decayed."""
    matrices = [p for p in encoder.parameters() if p.dim() > 1]
    others = [p for p in encoder.parameters() if p.dim() <= 1]
    groups = [
        {"params": [table.vectors, *matrices] if table else matrices, "weight_decay": plan.weight_decay},
        {"params": [table.biases, *others] if table else others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.peak_rate, betas=BETAS, fused=True)
