"""A head goes from the model that it was judged with to the one that is served.

Decision: what is served has learned the hold-out too, mostly anew, and its scores are of another scale; the hold-out
cannot calibrate it any more, since it knows those events by heart. So both models are asked about the same pairs that
nobody labelled, users at moments of the hold-out with items drawn at random, and the head's log-odds are brought to the
same mean and spread. Four draws of made-up traffic, judged on what neither had learned: expected calibration error .042
to .057 with the judged model, .044 to .107 with the served one and the head as it was, .041 to .053 carried over.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.behaviours.fitting import log_odds_of
from services.trainer.model.behaviours.inputs import inputs_of
from services.trainer.model.behaviours.lesson import Foretelling, Traffic, torch_threads
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.mixing.mixture import MixedModel

MOMENTS, ITEMS = 2_000, 5
"""At so many moments so many items are asked about: histories are what takes the time."""
_LEAST_SPREAD = 1e-6


def carried_over(
    foretelling: Foretelling, judged: MixedModel, served: MixedModel, traffic: Traffic, plan: TrainingPlan
) -> Foretelling:
    """The same with a head whose probabilities hold for `served`.

    Args:
        foretelling: learned with `judged`; what has no head stays as it is.
        judged, served: the models, which are left as they are.
        traffic: what the head was learned from.
        plan: roles, window, seed and threads as for the models.
    """
    items = np.intersect1d(judged.model.item_keys, served.model.item_keys)
    if foretelling.head is None or not len(items):
        return foretelling
    pairs, head = _pairs(traffic, items, plan.seed), copy.deepcopy(foretelling.head)
    with torch_threads(plan.threads):
        before, after = (
            log_odds_of(head, inputs_of(pairs, traffic.columns, each, plan.roles, plan.window))
            for each in (judged, served)
        )
    ratio = _spread(before) / _spread(after)  # (O,)
    moved = torch.from_numpy(before.mean(axis=0) - ratio * after.mean(axis=0))
    head.shift += head.slope * moved.float()
    head.slope *= torch.from_numpy(ratio).float()
    return replace(foretelling, head=head)


def _pairs(traffic: Traffic, items: np.ndarray, seed: int) -> Examples:
    """Moments all over the hold-out, each with items drawn at random."""
    rows = np.flatnonzero(traffic.columns.position > traffic.later_than)
    rows = rows[np.linspace(0, len(rows) - 1, min(MOMENTS, len(rows)), dtype=np.int64)]
    moments = traffic.columns.take(np.repeat(rows, ITEMS))
    drawn = np.random.default_rng(seed).choice(items, len(moments))
    nothing = np.zeros((len(moments), 0), bool)
    return Examples(moments.user_key, drawn, moments.position, moments.time_ms, nothing, nothing, 1.0, "")


def _spread(log_odds: np.ndarray) -> np.ndarray:
    """``(O,) float64`` of ``log_odds (N, O)``."""
    spread: np.ndarray = log_odds.std(axis=0)
    return np.maximum(spread, _LEAST_SPREAD)
