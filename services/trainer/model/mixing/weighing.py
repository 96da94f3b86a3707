"""How much rules count beside a model: chosen on events that none of them has learned.

Decision: the weights that are usual, or were served so far, stay unless questions tell better: others that lie nearest
to them on a grid are taken once their NDCG@10 is within one standard error of the best and that of the former is not
(paired; the rule of Breiman et al. 1984 for trees). Around the best the figures are flat, and where the peak lies is
chance: on MovieLens 100k the peak itself was worse on later events. Where taste shifts, weights chosen anew by what
came since are worth much: on three simulated shops NDCG@10 is .162, .154 and .145, with those of the first lesson .157,
.138 and .128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.trainer.model.answering.answers import Cases, catalogue_scores, parts_of
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.scoring import ModelScorer, Scorer
from services.trainer.model.answering.stream import Stream
from services.trainer.model.mixing.mixture import ExpertScorer, MixedModel, most_questions
from services.trainer.model.mixing.rules import RULES_EVERY, learn_rules
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.ranking_metrics import ndcg_gains
from shared.domain.models.mixture import Experts, Mixture

WEIGHTS = (0.0, 0.1, 0.25, 0.4, 0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)
EASE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.5)
USUAL = Mixture(weight=0.4, ease_weight=1.0)
"""Does well where questions do not tell better."""
ENOUGH_TO_CHOOSE = 200
"""Questions about what came since from which on weights are chosen anew."""
_K, _NONE = 10, -1


class Weighing:
    """What every place of the grid has gained from questions.

    Attributes:
        gains: of each part of the questions asked, ``(W, E, B) float64``, NDCG@10.
    """

    def __init__(self, event_types: frozenset[int]) -> None:
        """event_types: codes of the events that fire rules."""
        self._silent = Mixture(event_types=tuple(sorted(event_types)))
        self.gains: list[np.ndarray] = []

    def ask(self, cases: Cases, model: Scorer, experts: Experts) -> None:
        """Ask about events that neither the model nor the experts, which are over its items, have learned."""
        voices = [replace(self._silent, weight=1.0), replace(self._silent, ease_weight=1.0)]
        scorers = [model, *(ExpertScorer(model.item_keys, experts, voice) for voice in voices)]
        self.gains += [ndcg_gains(_ranks(cases, part, scorers), _K) for part in parts_of(cases)]

    def choice(self, served: Mixture = USUAL) -> Mixture:
        """The weights that were served, or better ones; the model alone where nothing was asked."""
        if not self.gains:
            return self._silent
        gains = np.concatenate(self.gains, axis=2)
        weight, ease_weight = nearest_good(gains, _place_of(served))
        return replace(self._silent, weight=WEIGHTS[weight], ease_weight=EASE_WEIGHTS[ease_weight])


def choose_mixture(cases: Cases, model: Scorer, experts: Experts, event_types: frozenset[int]) -> Mixture:
    """Of `WEIGHTS` and `EASE_WEIGHTS` those that questions speak for. Arguments as those of `Weighing`."""
    weighing = Weighing(event_types)
    weighing.ask(cases, model, experts)
    return weighing.choice()


def chosen_anew(
    mixed: MixedModel,
    columns: EventColumns,
    learned_to: int,
    options: CaseOptions,
    prompted: np.ndarray | None = None,
) -> Mixture:
    """The mixture that would have answered best for what came behind position ``learned_to``, with rules that learned
    as it came; the one that was served where there are fewer than `ENOUGH_TO_CHOOSE` questions.

    Args:
        mixed: as it was served; its experts have learned up to there and no further.
        columns: all N events in log order.
        learned_to: what the model has learned up to.
        options: roles and history length.
        prompted: ``(N,) bool``, events that are not asked for, since a recommendation may have prompted them: whatever
            it was mixed by would seem right. None for none.
    """
    learned = int(np.searchsorted(columns.position, learned_to, side="right"))
    stream = Stream(columns, learned, options, None if prompted is None else ~prompted)
    asked = stream.asked[-most_questions(len(stream.catalogue)) :]
    if len(asked) < ENOUGH_TO_CHOOSE:
        return mixed.mixture
    weighing, experts = Weighing(options.roles.target or frozenset()), mixed.experts
    for first, last in stream.chunks(RULES_EVERY):
        rows = asked[np.searchsorted(asked, first) : np.searchsorted(asked, last)]
        if not len(rows):
            continue
        if first > learned:
            before = columns.take(slice(0, first))
            experts = replace(experts, sequence=learn_rules(before, mixed.model.item_keys, options.roles))
        weighing.ask(stream.cases(rows), ModelScorer(mixed.model), experts)
    return weighing.choice(mixed.mixture)


def nearest_good(gains: np.ndarray, usual: tuple[int, int]) -> tuple[int, int]:
    """The place on a grid nearest to the usual one among those that lie within one standard error of the best; of
    equally near ones the first.

    Args:
        gains: ``(W, E, Q) float64``, of each place for the same questions.
        usual: a place, which stays where there is one question: of it nobody knows how much is chance.
    """
    if gains.shape[2] == 1:
        return usual
    means = gains.mean(axis=2)
    best = np.unravel_index(int(np.argmax(means)), means.shape)
    behind = gains[best] - gains
    error = behind.std(axis=2) / np.sqrt(gains.shape[2])
    good = behind.mean(axis=2) <= error
    place = np.stack(np.meshgrid(*map(np.arange, means.shape), indexing="ij"), axis=-1)
    distance = np.where(good, np.linalg.norm(place - np.array(usual), axis=-1), np.inf)
    row, column = np.unravel_index(int(np.argmin(distance)), distance.shape)
    return int(row), int(column)


def _ranks(cases: Cases, part: slice, scorers: Sequence[Scorer]) -> np.ndarray:
    """``(W, E, B, 2) int64``: ranks of what is asked for, exact up to `_K`. Everybody is asked once, whatever they
    weigh."""
    model, sequence, ease = (catalogue_scores(cases, scorer, part) for scorer in scorers)
    sequence, ease = (np.nan_to_num(each, nan=0.0, neginf=0.0) for each in (sequence, ease))
    target = np.searchsorted(cases.catalogue, cases.targets[part])[:, None]
    columns = _contenders(model, (sequence > 0) | (ease > 0))
    own, others = (
        [np.take_along_axis(each, places, axis=1) for each in (model, sequence, ease)]
        for places in (target, columns)
    )
    others[0][(columns == target) | (columns == _NONE)] = np.nan
    elsewhere = (model == own[0]).sum(axis=1) - 1 - (others[0] == own[0]).sum(axis=1)
    ranks = [[_ties(own, others, elsewhere, (w, e)) for e in EASE_WEIGHTS] for w in WEIGHTS]
    return np.array(ranks)


def _contenders(scores: np.ndarray, called: np.ndarray) -> np.ndarray:
    """``(B, C) int64``: the only items that can be before what is asked for where that is among the best `_K`, however
    rules are weighed, -1 for none: those that rules call for, ``called (B, V) bool``, and of the others those of the
    highest ``scores (B, V)``."""
    row, item = np.nonzero(called)
    counts = np.bincount(row, minlength=len(called))
    table = np.full((len(called), counts.max(initial=0)), _NONE)
    table[row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)] = item
    others = np.where(called | np.isnan(scores), -np.inf, scores)
    number = min(_K + 1, scores.shape[1])
    best = np.argpartition(-others, number - 1, axis=1)[:, :number]
    return np.hstack([table, np.where(np.isneginf(np.take_along_axis(others, best, axis=1)), _NONE, best)])


def _ties(
    own: list[np.ndarray], others: list[np.ndarray], elsewhere: np.ndarray, weights: tuple[float, float]
) -> np.ndarray:
    """``(B, 2) int64``: first and last rank of what is asked for.

    Args:
        own: ``(B, 1)``, what model, rules and EASE say of it.
        others: ``(B, C)`` each, of all others that matter; NaN for none.
        elsewhere: ``(B,) int64``, how many more the model likes as well, and no rule calls for.
        weights: of rules and of EASE.
    """
    mine, theirs = (m + weights[0] * s + weights[1] * e for m, s, e in (own, others))
    better, equal = (theirs > mine).sum(axis=1), (theirs == mine).sum(axis=1)
    equal += elsewhere * (mine == own[0])[:, 0]
    return np.where(np.isneginf(mine), _K + 1, np.stack([better + 1, better + 1 + equal], axis=1))


def _place_of(mixture: Mixture) -> tuple[int, int]:
    """Where on the grid a mixture lies, or what lies nearest to it."""
    distances = (
        np.abs(np.array(WEIGHTS) - mixture.weight),
        np.abs(np.array(EASE_WEIGHTS) - mixture.ease_weight),
    )
    weight, ease_weight = (int(np.argmin(each)) for each in distances)
    return weight, ease_weight
