"""Model and rules together: the weights of the mixture are chosen on events that none of them has learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import convolve2d

from services.trainer.model.answering import Cases, answer, catalogue_scores, ranks_of
from services.trainer.model.ease import ease_rules
from services.trainer.model.evaluation import CaseOptions, make_cases
from services.trainer.model.rules import firing_rows, learn_rules
from services.trainer.model.scoring import Histories, ModelScorer, Scorer
from services.trainer.model.sequences import EventRoles, has_type
from services.trainer.model.training import TrainedModel
from shared.domain.event_columns import EventColumns
from shared.domain.mixture import Experts, Mixture
from shared.domain.ranking_metrics import ndcg, ndcg_gains

WEIGHTS = (0.0, 0.1, 0.25, 0.4, 0.65, 1.0, 1.5, 2.5)
EASE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.5)
VALIDATION_USERS = 2_000
_BATCH, _K = 256, 10


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
    experts: Experts
    mixture: Mixture

    def scorer(self) -> MixtureScorer:
        """Scores as it is served."""
        return MixtureScorer(ModelScorer(self.model), self.experts, self.mixture)


class ExpertScorer:
    """What rules alone say in a mixture."""

    def __init__(self, item_keys: np.ndarray, experts: Experts, mixture: Mixture) -> None:
        """item_keys: ``(V,) uint64``, sorted ascending, what the experts are over."""
        self._item_keys, self._experts, self._mixture = item_keys, experts, mixture

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``, 0 where nothing calls for an item."""
        return self.add_to(np.zeros((len(histories), len(self._item_keys)), np.float32), histories)

    def add_to(self, scores: np.ndarray, histories: Histories) -> np.ndarray:
        """The same on top of ``scores (B, V) float32``, in place."""
        types = frozenset(self._mixture.event_types)
        self._mixture.add(scores, self._experts, firing_rows(histories, self._item_keys, types))
        return scores


class MixtureScorer:
    """Scores as the service does that serves the mixture."""

    def __init__(self, model: Scorer, experts: Experts, mixture: Mixture) -> None:
        self._model, self._added = model, ExpertScorer(model.item_keys, experts, mixture)

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._model.item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``."""
        return self._added.add_to(np.array(self._model(histories)), histories)


def learn_experts(columns: EventColumns, vocabulary: np.ndarray, roles: EventRoles) -> Experts:
    """All rules that are served beside a model over the items of ``vocabulary (V,) uint64`` (sorted)."""
    return Experts(learn_rules(columns, vocabulary, roles), ease_rules(columns, vocabulary, roles))


def choose_mixture(cases: Cases, model: Scorer, experts: Experts, event_types: frozenset[int]) -> Mixture:
    """The weights of `WEIGHTS` and `EASE_WEIGHTS` with the best NDCG@10, that of their neighbours counted in, as a peak
    that stands alone is chance; of equal ones the smallest, the model alone for no cases.

    Args:
        cases: questions about events that neither model nor rules have learned.
        model: scores the catalogue.
        experts: over the model's items.
        event_types: codes of the events that fire rules.
    """
    silent = Mixture(event_types=tuple(sorted(event_types)))
    if not len(cases):
        return silent
    found = smoothed(_figures(cases, model, experts, silent))
    best = np.unravel_index(int(np.argmax(found)), found.shape)
    return replace(silent, weight=WEIGHTS[best[0]], ease_weight=EASE_WEIGHTS[best[1]])


def _figures(cases: Cases, model: Scorer, experts: Experts, silent: Mixture) -> np.ndarray:
    """``(W, E) float64``: NDCG@10 of each weight of sequence rules with each of EASE."""
    voices = [replace(silent, weight=1.0), replace(silent, ease_weight=1.0)]
    scorers = [model, *(ExpertScorer(model.item_keys, experts, voice) for voice in voices)]
    parts = [slice(start, start + _BATCH) for start in range(0, len(cases), _BATCH)]
    ranks = np.concatenate([_ranks(cases, part, scorers) for part in parts], axis=2)
    return ndcg_gains(ranks, _K).mean(axis=2)


def _ranks(cases: Cases, part: slice, scorers: Sequence[Scorer]) -> np.ndarray:
    """``(W, E, B) int64``: ranks of what is asked for. Everybody is asked once, whatever they weigh."""
    scores, sequence, ease = (catalogue_scores(cases, scorer, part) for scorer in scorers)
    sequence, ease = (np.nan_to_num(each, nan=0.0, neginf=0.0) for each in (sequence, ease))
    targets = np.searchsorted(cases.catalogue, cases.targets[part])
    ranks = [
        [ranks_of(scores + weight * sequence + ease_weight * ease, targets) for ease_weight in EASE_WEIGHTS]
        for weight in WEIGHTS
    ]
    return np.array(ranks)


def smoothed(figures: np.ndarray) -> np.ndarray:
    """``(W, E) float64``: each figure as the mean of itself and its neighbours, of which edges have fewer."""
    window = np.ones((3, 3))
    sums = convolve2d(figures, window, "same")
    return np.asarray(sums / convolve2d(np.ones_like(figures), window, "same"))
