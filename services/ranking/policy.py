"""From states, a model and what is trending to answers. Pure: no I/O, the time is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.ranking.model_slot import ServingModel
from services.ranking.scorer import aligned
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
    history_rows = model.scorer.rows(padded([state.item_key for state in states]))
    known = (history_rows >= 0).any(axis=1)
    answers: list[Answer | None] = [None] * len(wishes)
    if known.any():
        places = np.flatnonzero(known).tolist()
        scores = _scores([states[place] for place in places], history_rows[known], model)
        for place, row in zip(places, scores, strict=True):
            answers[place] = _by_model(wishes[place], states[place], row, model, fallback.catalogue.id_of)
    return [
        answer if answer is not None else _trending(wish, state, fallback)
        for answer, wish, state in zip(answers, wishes, states, strict=True)
    ]


def _scores(states: Sequence[UserState], rows: np.ndarray, model: ServingModel) -> np.ndarray:
    """Scores (B, V) float32, -inf for what the catalogue does not know."""
    event_type = padded([state.event_type for state in states]).astype(np.int64)
    rows, event_type, age_seconds = aligned(rows, event_type, ages_of(states))
    vectors = model.scorer.user_vectors(rows, event_type, age_seconds)
    scores = model.scorer.scores(vectors)
    model.scorer.add_rules(scores, rows, event_type)
    scores += model.withheld
    return scores


def ages_of(states: Sequence[UserState]) -> np.ndarray:
    """Ages (B, T) float64 of events, in seconds, up to each user's newest event, not to now: encoders read differences
    only, and the float32 they take blurs those of great ages."""
    time_ms = padded([state.time_ms for state in states])
    return (time_ms.max(axis=1, keepdims=True, initial=0) - time_ms) / 1000.0


def padded(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns (T_i,) as one array (B, T), filled with zeros on the left."""
    width = max(len(column) for column in columns)
    if all(len(column) == width for column in columns):
        return np.stack(columns)
    return np.stack([np.pad(column, (width - len(column), 0)) for column in columns])


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
