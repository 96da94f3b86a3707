"""Training: events in, item table and encoder out.

One pass learns every event once, each from the events before it in its window (Kang & McAuley 2018). There
are as many passes as help, or a fixed number derived from the amount of data: a run is a function of events, plan,
seed and thread count; `max_minutes` is a cap that shortens the schedule, never breaks it off. A run that was cut off
goes on from its checkpoints; the cap counts the time for learning of all its parts, but for what was lost.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from services.trainer.model.encoders.signature import UserEncoder
from services.trainer.model.fitting import initialisation
from services.trainer.model.fitting.callbacks import NO_CALLBACKS, Callbacks
from services.trainer.model.fitting.device import device_of
from services.trainer.model.fitting.loop import Fit
from services.trainer.model.fitting.objective import ItemTable
from services.trainer.model.fitting.parallel import Ranks
from services.trainer.model.fitting.plan import (
    NotEnoughEvents,
    Progress,
    TrainingPlan,
)
from services.trainer.model.sequences import TrainingRows, training_rows
from shared.domain.events.event_columns import EventColumns


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """An item table and the encoder that goes with it.

    Attributes:
        item_keys: ``(V,) uint64``, sorted ascending.
        item_vectors: ``(V, D) float32``.
        item_biases: ``(V,) float32``; score of item v = user_vector . item_vectors[v] + item_biases[v].
        encoder: in evaluation mode.
        curve: the reports of the run, oldest first.
        capped: whether ``max_minutes`` shortened the schedule; such a run need not repeat bit by bit.
        passes: passes over the events that help to learn them; 0 when that is not known. A judged run ends with the
            weights that answered best, which may be those of fewer.
        pass_seconds: time that one of them took; 0 when that is not known.
        seconds: time that the last lesson took; 0 when that is not known.
    """

    item_keys: np.ndarray
    item_vectors: np.ndarray
    item_biases: np.ndarray
    encoder: UserEncoder
    curve: tuple[Progress, ...]
    capped: bool
    passes: int = 0
    pass_seconds: float = 0.0
    seconds: float = 0.0


Judge = Callable[[TrainedModel], np.ndarray]
"""How well a model answers each question, ``(Q,) float64``; higher is better."""


def train(
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    judge: Judge | None = None,
) -> TrainedModel:
    """A model of all items that occur in ``columns``.

    Args:
        columns: events in log order.
        plan: what to do.
        callbacks: what is called on the way.
        judge: asked after every pass, for answers to what is not in ``columns``. With it the run ends once they no
            longer improve, and the model is the best on the way, its weights averaged; without it the run makes the
            passes of the plan.

    Raises:
        NotEnoughEvents: there is nothing to predict.
        TrainingDiverged: the loss became infinite or NaN.
        DeviceMissing: the plan's device is not there.
    """
    begun, vocabulary = time.monotonic(), np.unique(columns.item_key)
    rows = _rows(columns, vocabulary, plan)
    generator = np.random.default_rng(plan.seed)
    width = plan.encoder.d_model
    with _torch_state(plan):
        encoder = plan.encoder.build()
        vectors = initialisation.item_vectors(rows, len(vocabulary), width, generator)
        table = ItemTable(vectors, _first_biases(rows, len(vocabulary), plan))
        spent = _seconds_since(begun)
        plan = plan.after(spent)
        fit: Fit = Fit(encoder, table, rows, plan, judge and (lambda: judge(_trained(vocabulary, fit))))
        fit.run(callbacks)
    return _trained(vocabulary, fit, spent)


def continue_training(
    model: TrainedModel,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    judge: Judge | None = None,
) -> TrainedModel:
    """The model after a short second schedule over ``columns``; ``model`` itself stays as it is.

    This is the learning half of test-then-learn: train on all but the newest events, judge on those, then
    continue over everything, so that what is served has learned them too. Items new in ``columns`` start as
    the mean of the company they keep; items no longer in ``columns`` keep their rows.

    Args:
        model: what to start from. Of another kind than the plan's encoder, it has nothing to start from, and
            this is `train`; of the same kind, its shape wins over the plan's.
        columns: events in log order, older ones included, or what only they teach is slowly forgotten.
        plan: as for `train`; ``plan.continuation`` scales passes and learning rate.
        callbacks: as for `train`.
        judge: as for `train`; the model is ``model`` itself when nothing that was learned improves its answers.

    Raises:
        As `train`.
    """
    if model.encoder.config.kind != plan.encoder.kind:
        return train(columns, plan, callbacks, judge)
    begun, vocabulary = time.monotonic(), np.union1d(model.item_keys, columns.item_key)
    rows = _rows(columns, vocabulary, plan)
    plan = _continuing(plan, model.passes or plan.epochs_for(len(rows)), judge is not None)
    with _torch_state(plan):
        encoder = model.encoder.config.build()
        encoder.load_state_dict(model.encoder.state_dict())
        table = _grown_table(model, vocabulary, rows)
        spent = _seconds_since(begun)
        plan = plan.after(spent)
        fit: Fit = Fit(encoder, table, rows, plan, judge and (lambda: judge(_trained(vocabulary, fit))))
        fit.run(callbacks)
    return replace(_trained(vocabulary, fit, spent), passes=model.passes)


def _continuing(plan: TrainingPlan, passes: int, judged: bool) -> TrainingPlan:
    """The plan of a continuation of a model that so many passes have made."""
    if judged:
        return replace(plan, learning_rate=plan.peak_rate * plan.judged_continuation)
    epochs = max(1, round(passes * plan.continuation))
    return replace(plan, epochs=epochs, learning_rate=plan.peak_rate * plan.continuation)


def _seconds_since(begun: float) -> float:
    """What came before the first step, such as the first item vectors, takes of the time, too. The first rank's clock
    counts for all."""
    return Ranks.here().number_of_first(time.monotonic() - begun)


def _trained(vocabulary: np.ndarray, fit: Fit, spent_seconds: float = 0.0) -> TrainedModel:
    vectors = fit.table.vectors.detach().cpu().numpy().copy()
    biases = fit.table.biases.detach().cpu().numpy().copy()
    encoder = copy.deepcopy(fit.encoder).cpu().eval()
    about = (tuple(fit.curve), fit.capped, fit.passes, fit.pass_seconds, spent_seconds + fit.seconds)
    return TrainedModel(vocabulary, vectors, biases, encoder, *about)


def _rows(columns: EventColumns, vocabulary: np.ndarray, plan: TrainingPlan) -> TrainingRows:
    rows = training_rows(columns, vocabulary, plan.roles)
    follows = np.ones(len(rows), bool)
    follows[rows.offsets[:-1]] = False
    if not np.any(rows.is_target & follows):
        raise NotEnoughEvents("no user has two events of which the later one is to be predicted")
    return rows


def _first_biases(rows: TrainingRows, n_items: int, plan: TrainingPlan) -> np.ndarray:
    """A softmax ignores a constant; to gBCE an item of which nothing is known is as unlikely as one among V."""
    biases = initialisation.item_biases(rows, n_items)
    return biases - np.float32(np.log(n_items)) if plan.loss == "gbce" else biases


def _grown_table(model: TrainedModel, vocabulary: np.ndarray, rows: TrainingRows) -> ItemTable:
    known = np.isin(vocabulary, model.item_keys)
    biases = initialisation.item_biases(rows, len(vocabulary))
    biases += model.item_biases.mean() - biases[known].mean()
    biases[known] = model.item_biases
    return ItemTable(initialisation.grown_vectors(rows, known, model.item_vectors), biases)


@contextmanager
def _torch_state(plan: TrainingPlan) -> Iterator[None]:
    """Seeds torch and sets its threads for the run, and puts both back."""
    device, threads = device_of(plan.device, plan.mixed_precision), torch.get_num_threads()
    with torch.random.fork_rng(devices=device.forked):
        torch.manual_seed(plan.seed)
        torch.set_num_threads(plan.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
