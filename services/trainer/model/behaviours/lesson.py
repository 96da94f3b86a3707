"""From a model and traffic that it has not learned to a head whose probabilities are judged.

Decision: the head learns from the hold-out alone, in the order of the log: the older half teaches it, the next quarter
calibrates it, the newest quarter judges it; then its calibration learns that quarter, too. What the model has learned
itself is no teacher of how far its scores are to be trusted: it knows those events by heart, and a head taught with
them trusted the scores ten times too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import structlog
import torch

from services.trainer.model.behaviours.calibration import Scaling, platt_scaling
from services.trainer.model.behaviours.examples import (
    WINDOW_SECONDS,
    Examples,
    given_of,
    shown_examples,
    with_exposures,
)
from services.trainer.model.behaviours.fitting import HeadPlan, fit_head, log_odds_of
from services.trainer.model.behaviours.head import BehaviourHead
from services.trainer.model.behaviours.inputs import Inputs, inputs_of
from services.trainer.model.behaviours.sampling import sampled_examples
from services.trainer.model.fitting.plan import TrainingPlan
from services.trainer.model.mixing.mixture import MixedModel
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.probability_metrics import (
    auc,
    base_rate_log_loss,
    expected_calibration_error,
    log_loss,
)
from shared.domain.presets.behaviours import Behaviours

_log = structlog.get_logger("behaviours")
LEAST_LEARNED, LEAST_JUDGED = 20, 5
"""Labels that an objective needs among the examples that teach, and in each of the two later parts."""
MOST_EXAMPLES = 200_000
"""The newest ones count."""


@dataclass(frozen=True, slots=True, eq=False)
class Foretelling:
    """head: with its calibration, None when nothing could be learned. behaviours: what its outputs are. metrics: by
    name, "behaviour/<objective>/<metric>"; an objective with labels but too few has the metric "labels" alone."""

    head: BehaviourHead | None = None
    behaviours: Behaviours | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class Traffic(NamedTuple):
    """columns: the log from its beginning. later_than: the position behind which it teaches the head; the model has
    learned nothing of that. exposed: what was served, as impressions."""

    columns: EventColumns
    later_than: int
    exposed: EventColumns

    @property
    def later(self) -> EventColumns:
        """What teaches the head."""
        later = self.columns.take(self.columns.position > self.later_than)
        return with_exposures(later, self.exposed)


def learn_behaviours(
    mixed: MixedModel, traffic: Traffic, objectives: Mapping[str, frozenset[int]], plan: TrainingPlan
) -> Foretelling:
    """A head for the objectives that have labels enough.

    Args:
        mixed: the model, which is left as it is.
        traffic: what teaches.
        objectives: codes of the event types that are labels, by name.
        plan: roles, window, seed and threads as for the model.
    """
    examples = _examples(traffic.later, list(objectives.values()), mixed, plan.seed)
    labels = dict(zip(objectives, (examples.labels & examples.asked).sum(axis=0).tolist(), strict=True))
    metrics = {f"behaviour/{name}/labels": float(number) for name, number in labels.items() if number}
    enough = [each for each, name in enumerate(objectives) if labels[name] and _is_enough(examples, each)]
    names = tuple(np.array(list(objectives))[enough].tolist()) if enough else ()
    if lacking := {name: number for name, number in labels.items() if number and name not in names}:
        _log.info("too few labels for a probability", labels=lacking)
    if not names:
        return Foretelling(metrics=metrics)
    with torch_threads(plan.threads):
        inputs = inputs_of(examples, traffic.columns, mixed, plan.roles, plan.window)
        head, judged = _judged_head(inputs, examples.about(enough), names, plan.seed)
    return Foretelling(head, Behaviours(names, examples.given, WINDOW_SECONDS), metrics | judged)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """torch's threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _examples(later: EventColumns, labels_of: list[frozenset[int]], mixed: MixedModel, seed: int) -> Examples:
    """Of items that the model knows."""
    known = mixed.model.item_keys
    if given := given_of(later):
        examples = shown_examples(later, labels_of, given)
        examples = examples.take(np.isin(examples.item_key, known))
    else:
        examples = sampled_examples(later, labels_of, known, seed)
    return examples.take(np.arange(max(0, len(examples) - MOST_EXAMPLES), len(examples)))


def _parts(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that teach, that calibrate and that judge."""
    rows, half = np.arange(len(examples)), len(examples) // 2
    return rows[:half], rows[half : half + half // 2], rows[half + half // 2 :]


def _is_enough(examples: Examples, objective: int) -> bool:
    """Whether each part has enough labels, and rows without."""
    asked, label = examples.asked[:, objective], examples.labels[:, objective]
    least = (LEAST_LEARNED, LEAST_JUDGED, LEAST_JUDGED)
    return all(
        (asked & label)[rows].sum() >= number and (asked & ~label)[rows].any()
        for rows, number in zip(_parts(examples), least, strict=True)
    )


def _judged_head(
    inputs: Inputs, examples: Examples, names: tuple[str, ...], seed: int
) -> tuple[BehaviourHead, dict[str, float]]:
    learn, calibrate, judge = _parts(examples)
    head = fit_head(inputs.take(learn), examples.take(learn), HeadPlan(seed=seed))
    correction = float(np.log(examples.sampling_rate))
    log_odds = log_odds_of(head, inputs) + correction
    metrics: dict[str, float] = {}
    for number, name in enumerate(names):
        scaling = _scaling(log_odds, examples, number, calibrate)
        metrics |= _metrics(
            f"behaviour/{name}/", scaling, log_odds[judge, number], examples.take(judge), number
        )
        served = _scaling(log_odds, examples, number, np.append(calibrate, judge))
        head.slope[number], head.shift[number] = served.slope, served.shift + served.slope * correction
    return head, metrics


def _scaling(log_odds: np.ndarray, examples: Examples, objective: int, rows: np.ndarray) -> Scaling:
    rows = rows[examples.asked[rows, objective]]
    weights = examples.weights[rows, objective]
    return platt_scaling(log_odds[rows, objective], examples.labels[rows, objective], weights)


def _metrics(
    prefix: str, scaling: Scaling, log_odds: np.ndarray, examples: Examples, objective: int
) -> dict[str, float]:
    asked = examples.asked[:, objective]
    labels, weights = examples.labels[asked, objective], examples.weights[asked, objective]
    foretold = scaling.probabilities(log_odds[asked])
    found = {
        "log_loss": log_loss(labels, foretold, weights),
        "base_log_loss": base_rate_log_loss(labels, weights),
        "auc": auc(labels, foretold, weights),
        "ece": expected_calibration_error(labels, foretold, weights),
        "judged_rows": float(len(labels)),
        "judged_labels": float(labels.sum()),
    }
    return {prefix + name: value for name, value in found.items()}
