"""From states, a model and what is trending to answers. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.ranking.encoding import encoded, history_rows
from services.ranking.model_slot import ServingModel
from services.ranking.top import top_rows
from services.ranking.user_state import UserState
from shared.adapters.catalogue import Catalogue

MODEL, TRENDING, CATALOGUE = "model", "trending", "catalogue"


IdOf = Callable[[int], str | None]


class Wish(NamedTuple):
    """What one call asks for. excluded: keys that must not be in the answer."""

    page_size: int
    excluded: np.ndarray
    with_probabilities: bool = False


class Ranked(NamedTuple):
    """One item of an answer."""

    item_id: str
    item_key: int
    score: float
    source: str


class Answer(NamedTuple):
    """items, the best first; by_model: whether the model ranked them. probabilities: (n, O) float32, NaN for items that
    the model does not know; None when nobody asked or the model has none."""

    items: list[Ranked]
    by_model: bool
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Fallback:
    """What can be shown without a model: trending keys (n,) and scores (n,), then the catalogue."""

    item_keys: np.ndarray
    scores: np.ndarray
    catalogue: Catalogue


def rank(
    wishes: Sequence[Wish],
    states: Sequence[UserState],
    model: ServingModel | None,
    fallback: Fallback,
) -> list[Answer]:
    """One answer per wish: by the model for users whose history it knows something of, else what is trending."""
    if model is None:
        return [_trending(wish, state, fallback) for wish, state in zip(wishes, states, strict=True)]
    rows = history_rows(states, model.scorer)
    known = (rows >= 0).any(axis=1)
    answers: list[Answer | None] = [None] * len(wishes)
    if known.any():
        places = np.flatnonzero(known).tolist()
        scores = _scores([states[place] for place in places], rows[known], model)
        for place, row in zip(places, scores, strict=True):
            answers[place] = _by_model(wishes[place], states[place], row, model, fallback.catalogue.id_of)
    return [
        answer if answer is not None else _trending(wish, state, fallback)
        for answer, wish, state in zip(answers, wishes, states, strict=True)
    ]


def _scores(states: Sequence[UserState], rows: np.ndarray, model: ServingModel) -> np.ndarray:
    """Scores (B, V) float32, -inf for what the catalogue does not know."""
    vectors, rows, event_type = encoded(states, rows, model.scorer)
    scores = model.scorer.scores(vectors)
    model.scorer.add_rules(scores, rows, event_type)
    scores += model.withheld
    return scores


def _by_model(wish: Wish, state: UserState, scores: np.ndarray, model: ServingModel, id_of: IdOf) -> Answer:
    for keys in (state.consumed, wish.excluded):
        if len(keys):
            rows = model.scorer.rows(keys)
            scores[rows[rows >= 0]] = -np.inf
    best = top_rows(scores, wish.page_size)
    keys = model.scorer.item_keys[best].tolist()
    chosen = zip(keys, scores[best].tolist(), strict=True)
    return Answer([Ranked(id_of(key) or "", key, score, MODEL) for key, score in chosen], by_model=True)


def _trending(wish: Wish, state: UserState, fallback: Fallback) -> Answer:
    hidden = {*state.consumed.tolist(), *wish.excluded.tolist()}
    items: list[Ranked] = []
    for key, score in zip(fallback.item_keys.tolist(), fallback.scores.tolist(), strict=True):
        if len(items) == wish.page_size:
            return Answer(items, by_model=False)
        item_id = fallback.catalogue.id_of(key)
        if item_id is not None and key not in hidden and fallback.catalogue.may_be_recommended(key):
            items.append(Ranked(item_id, key, score, TRENDING))
            hidden.add(key)
    return Answer(items + _any(wish.page_size - len(items), hidden, fallback.catalogue), by_model=False)


def _any(limit: int, hidden: set[int], catalogue: Catalogue) -> list[Ranked]:
    """Items of the catalogue that nothing is known of, the first added first."""
    items: list[Ranked] = []
    for key, item_id in catalogue.entries():
        if len(items) >= limit:
            break
        if key not in hidden:
            items.append(Ranked(item_id, key, 0.0, CATALOGUE))
    return items
