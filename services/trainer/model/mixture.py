"""Model and rules together: the weight of the mixture is chosen on events that neither has learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.trainer.model.answering import Cases, answer
from services.trainer.model.evaluation import CaseOptions, judge, make_cases
from services.trainer.model.rules import firing_rows
from services.trainer.model.scoring import Histories, ModelScorer, Scorer
from services.trainer.model.sequences import has_type
from services.trainer.model.training import TrainedModel
from shared.domain.event_columns import EventColumns
from shared.domain.ranking_metrics import ndcg
from shared.domain.sequence_rules import Mixture, SequenceRules

WEIGHTS = (0.0, 0.1, 0.25, 0.4, 0.65, 1.0, 1.5, 2.5)
VALIDATION_USERS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """A split of what may be learned: ``learn`` first, then answer ``cases``."""

    learn: EventColumns
    cases: Cases

    def judge(self, model: TrainedModel) -> float:
        """NDCG over the whole catalogue: less a matter of chance than that of a short list, as every user counts."""
        answers = answer(self.cases, ModelScorer(model), k=1)
        return ndcg(answers.ranks, len(self.cases.catalogue))


def validation_of(columns: EventColumns, options: CaseOptions, later_than: int = 0) -> Validation:
    """Holds out the last event worth predicting of up to `VALIDATION_USERS` users, drawn by the options' seed; of those
    events that are behind position ``later_than``."""
    worth = has_type(columns.event_type, options.roles.target) & (columns.position > later_than)
    asked = np.flatnonzero(worth)
    users, from_end = np.unique(columns.user_key[asked][::-1], return_index=True)
    last = asked[len(asked) - 1 - from_end]
    if len(users) > VALIDATION_USERS:
        drawn = np.random.default_rng(options.seed).choice(len(users), VALIDATION_USERS, replace=False)
        last = last[np.sort(drawn)]
    held = np.zeros(len(columns), bool)
    held[last] = True
    learn = columns.take(~held)
    return Validation(learn, make_cases(learn, columns.take(held), options))


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel:
    """What is served: a trained model, rules over its items, and how they are mixed."""

    model: TrainedModel
    rules: SequenceRules
    mixture: Mixture

    def scorer(self) -> MixtureScorer:
        """Scores as it is served."""
        return MixtureScorer(ModelScorer(self.model), self.rules, self.mixture)


class MixtureScorer:
    """Scores as the service does that serves the mixture."""

    def __init__(self, model: Scorer, rules: SequenceRules, mixture: Mixture) -> None:
        self._model, self._rules, self._mixture = model, rules, mixture

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._model.item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``."""
        scores = np.array(self._model(histories))
        if self._mixture.weight:
            types = frozenset(self._mixture.event_types)
            self._mixture.add(scores, self._rules, firing_rows(histories, self.item_keys, types))
        return scores


def choose_mixture(cases: Cases, model: Scorer, rules: SequenceRules, event_types: frozenset[int]) -> Mixture:
    """The weight of `WEIGHTS` with the best NDCG@10, that of its neighbours counted in, as a peak that stands alone is
    chance; of equal ones the smallest, the model alone for no cases.

    Args:
        cases: questions about events that neither model nor rules have learned.
        model: scores the catalogue.
        rules: over the model's items.
        event_types: codes of the events that fire rules.
    """
    silent = Mixture(event_types=tuple(sorted(event_types)))
    if not len(cases):
        return silent
    remembered = _Remembered(model)
    tried = [replace(silent, weight=weight) for weight in WEIGHTS]
    found = [judge(cases, {"": MixtureScorer(remembered, rules, each)})[""].ndcg for each in tried]
    return tried[int(np.argmax(smoothed(np.array(found))))]


def smoothed(figures: np.ndarray) -> np.ndarray:
    """``(W,) float64``: each of the figures as the mean of itself and its neighbours; ends have one."""
    sums = np.convolve(figures, np.ones(3), "same")
    return sums / np.convolve(np.ones(len(figures)), np.ones(3), "same")


class _Remembered:
    """Asks a scorer once for each part of the cases, which come in the same order every time."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._known: dict[bytes, np.ndarray] = {}

    @property
    def item_keys(self) -> np.ndarray:
        return self._scorer.item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        key = histories.item_keys.tobytes() + histories.age_seconds.tobytes()
        if key not in self._known:
            self._known[key] = self._scorer(histories)
        return self._known[key]
