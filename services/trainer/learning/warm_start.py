"""Going on from the champion: what it knows is kept, and what has come since is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import structlog
import torch

from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.contest.encoder_learners import improved
from services.trainer.model.fitting.callbacks import NO_CALLBACKS, Callbacks
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.mixture import MixedModel, learn_experts
from services.trainer.model.mixing.weighing import chosen_anew
from services.trainer.processes.reports import Job
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError, unpack
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.mixture import Mixture

_log = structlog.get_logger("warm_start")
PASSES = "passes"
"""Of the manifest's metrics: passes that made the model."""


class Start(NamedTuple):
    """What a run goes on from. learned_to: the last position of the log that the model has learned."""

    model: TrainedModel
    mixture: Mixture
    learned_to: int
    version: str


def champion_start(job: Job, plan: TrainingPlan) -> Start | None:
    """The champion, when a run of ``job`` can go on from it; None when it begins anew."""
    if job.full or not job.champion_bundle:
        return None
    try:
        bundle = unpack(Path(job.champion_bundle).read_bytes())
        return Start(
            _model_of(bundle, plan), _mixture_of(bundle), job.champion_position, job.champion_version
        )
    except (CorruptBundleError, OSError, _OtherModel) as error:
        _log.info("the run begins anew", champion=job.champion_version, reason=str(error))
        return None


class _OtherModel(ValueError):
    """The champion is not of the shape that is to be trained; the message says how."""


def _model_of(bundle: Bundle, plan: TrainingPlan) -> TrainedModel:
    """The champion in torch. Raises _OtherModel."""
    if bundle.manifest.encoder != plan.encoder.kind:
        raise _OtherModel(f"it is a {bundle.manifest.encoder}, not a {plan.encoder.kind}")
    if not bundle.weights:
        raise _OtherModel("its bundle holds no weights to go on from")
    encoder = plan.encoder.build()
    try:
        encoder.load_state_dict({name: torch.from_numpy(value) for name, value in bundle.weights.items()})
    except RuntimeError as error:
        raise _OtherModel("its encoder has another shape") from error
    passes = int(bundle.manifest.metrics.get(PASSES, 0))
    table = (bundle.item_keys, bundle.item_vectors, bundle.item_biases)
    return TrainedModel(*table, encoder.eval(), (), False, passes)


def _mixture_of(bundle: Bundle) -> Mixture:
    return bundle.manifest.mixture or Mixture()


def champion_gone_on(
    start: Start,
    columns: EventColumns,
    plan: TrainingPlan,
    callbacks: Callbacks = NO_CALLBACKS,
    own: np.ndarray | None = None,
) -> MixedModel:
    """The champion after ``columns``, which hold all that it has learned and what is new. own: as for `validation_of`.
    Raises TrainingError."""
    plan = replace(plan, learned_to=start.learned_to)
    model = improved(start.model, columns, plan, callbacks, own)
    return MixedModel(model, learn_experts(columns, model.item_keys, plan.roles), start.mixture)


def weighed_anew(start: Start, columns: EventColumns, plan: TrainingPlan, prompted: np.ndarray) -> Start:
    """The same start with the mixture that what is new speaks for, which the champion has not learned.

    Args:
        columns: N events in log order, all that it has learned and what is new.
        prompted: ``(N,) bool``, what a recommendation may have prompted: nothing is asked about that.
    """
    learned = columns.take(columns.position <= start.learned_to)
    experts = learn_experts(learned, start.model.item_keys, plan.roles)
    served = MixedModel(start.model, experts, start.mixture)
    options = CaseOptions(roles=plan.roles, history_length=plan.window, seed=plan.seed)
    return start._replace(mixture=chosen_anew(served, columns, start.learned_to, options, prompted))
