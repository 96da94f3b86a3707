"""Model and rules together, as they are served, and the questions by which they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.trainer.model.answering.answers import Cases, answer
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.scoring import Histories, ModelScorer, Scorer
from services.trainer.model.answering.stream import Stream
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.mixing.ease import ease_rules
from services.trainer.model.mixing.rules import firing_rows, learn_rules
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.ranking_metrics import ndcg_gains
from shared.domain.models.mixture import Experts, Mixture

QUESTIONS = 4_000
SCORES = 200_000_000
"""Of all questions together; to give so many takes about ten seconds."""
_MOST_EACH = 4
_SHARE = 10
ENOUGH_OWN = 2_000
"""Events of users' own choice, of a tenth of which as much can be told as weights are chosen by."""


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """A split of what may be learned: ``learn`` first, then answer ``cases``."""

    learn: EventColumns
    cases: Cases

    def judge(self, model: TrainedModel) -> np.ndarray:
        """NDCG over the whole catalogue, of each question: less a matter of chance than that of a short list, as every
        user counts."""
        answers = answer(self.cases, ModelScorer(model), k=1)
        return ndcg_gains(answers.ranks, len(self.cases.catalogue))


def validation_of(
    columns: EventColumns, options: CaseOptions, later_than: int = 0, own: np.ndarray | None = None
) -> Validation:
    """Holds out the last events worth predicting of users of whom something is known by then, of those that are behind
    position ``later_than``, each asked for with all that came before it.

    Decision: one question for each of a thousand users tells little (an NDCG@10 of 0.12 to within 0.02), so of few
    users several are asked, `QUESTIONS` together, of a tenth of the events at most, which may be none; of many users
    some, drawn by the options' seed.

    own: ``(N,) bool``, what users are not known to have done because it was recommended; where that is enough, nothing
    else is asked for, or whatever was served would seem right for ever. None for all.
    """
    stream = Stream(columns, 0, options)
    asked = stream.asked[columns.position[stream.asked] > later_than]
    asked = asked[
        stream.history_lengths(asked) > 0
    ]  # a user's first event leaves as little to learn as to ask for
    if own is not None and np.count_nonzero(own[asked]) >= ENOUGH_OWN:
        asked = asked[own[asked]]
    most = min(most_questions(len(stream.catalogue)), len(asked) // _SHARE)
    asked = asked[_last_of_each(columns.user_key[asked], most, options.seed)] if most else asked[:0]
    return Validation(columns.take(_left_to_learn(columns, asked)), stream.cases(asked))


def most_questions(items: int) -> int:
    """So many are asked where there are so many items to score."""
    return max(1, min(QUESTIONS, SCORES // max(items, 1)))


def _last_of_each(users: np.ndarray, most: int, seed: int) -> np.ndarray:
    """``(N,) bool``: which of the rows are held out, about ``most``. users: ``(N,)``, whose each row is, in log
    order."""
    known, owner, sizes = np.unique(users, return_inverse=True, return_counts=True)
    order = np.argsort(owner, kind="stable")
    from_end = np.empty(len(users), np.int64)
    from_end[order] = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(users))
    held = from_end <= min(max(most // max(len(known), 1), 1), _MOST_EACH)
    if len(known) > most:
        drawn = np.random.default_rng(seed).choice(len(known), most, replace=False)
        held &= np.isin(owner, drawn)
    return held


def _left_to_learn(columns: EventColumns, asked: np.ndarray) -> np.ndarray:
    """``(N,) bool``: all but what is asked for, and what the same user does with the same item from then on: without
    the event before it, that would be learned as the answer. asked: ``(Q,) int64``, rows."""
    pairs = columns.pairs()
    asked_at = np.full(len(columns), len(columns))
    np.minimum.at(asked_at, pairs[asked], asked)
    return np.arange(len(columns)) < asked_at[pairs]


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
