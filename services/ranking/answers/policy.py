"""From states, a model and what is trending to answers. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.ranking.answers.encoding import encoded, history_rows
from services.ranking.answers.top import top_rows
from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import ServingModel
from shared.adapters.jetstream.catalogue import Catalogue

MODEL, TRENDING, CATALOGUE = "model", "trending", "catalogue"


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
    """What can be shown without a model: what is trending, scores by key, the highest first, then the catalogue."""

    trending: Mapping[int, float]
    catalogue: Catalogue


def rank(
    wishes: Sequence[Wish],
    states: Sequence[UserState],
    model: ServingModel | None,
    fallback: Fallback,
) -> list[Answer]:
    """One answer per wish: by the model for users whose history it knows something of, else what is trending. What the
    model does not know comes behind what it does, where a page has room."""
    if model is None:
        return [_trending(wish, state, fallback) for wish, state in zip(wishes, states, strict=True)]
    rows = history_rows(states, model.scorer)
    known = (rows >= 0).any(axis=1)
    answers: list[Answer | None] = [None] * len(wishes)
    if known.any():
        places = np.flatnonzero(known).tolist()
        asked, of = [wishes[place] for place in places], [states[place] for place in places]
        scores = _scores(of, rows[known], model)
        _hide(scores, [(state.consumed, wish.excluded) for state, wish in zip(of, asked, strict=True)], model)
        for place, items in zip(places, _by_model(asked, scores, model, fallback.catalogue), strict=True):
            if len(items) < wishes[place].page_size:
                items = _filled(items, wishes[place], states[place], fallback)
            answers[place] = Answer(items, by_model=True)
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


def _hide(scores: np.ndarray, hidden: Sequence[tuple[np.ndarray, ...]], model: ServingModel) -> None:
    """Set to -inf what nobody must be shown: keys (n,) uint64 of each user."""
    user = np.repeat(np.arange(len(hidden)), [sum(map(len, keys)) for keys in hidden])
    rows = model.scorer.rows(np.concatenate([key for keys in hidden for key in keys]))
    known = rows >= 0
    scores[user[known], rows[known]] = -np.inf


def _by_model(
    wishes: Sequence[Wish], scores: np.ndarray, model: ServingModel, catalogue: Catalogue
) -> Iterator[list[Ranked]]:
    """The best by scores (B, V), without those that were deleted since the model's view of the catalogue."""
    best = top_rows(scores, [wish.page_size for wish in wishes])
    for own, rows in zip(scores, best, strict=True):
        keys = model.scorer.item_keys[rows].tolist()
        chosen = zip(catalogue.recommendable_ids_of(keys), keys, own[rows].tolist(), strict=True)
        yield [Ranked(item_id, key, score, MODEL) for item_id, key, score in chosen if item_id is not None]


def _trending(wish: Wish, state: UserState, fallback: Fallback) -> Answer:
    return Answer(_filled([], wish, state, fallback), by_model=False)


def _filled(chosen: list[Ranked], wish: Wish, state: UserState, fallback: Fallback) -> list[Ranked]:
    """What was chosen, and behind it what is trending, then anything, up to the size of the page."""
    hidden = {*state.consumed.tolist(), *wish.excluded.tolist(), *(each.item_key for each in chosen)}
    items = list(chosen)
    for key, score in fallback.trending.items():
        if len(items) == wish.page_size:
            return items
        item_id = fallback.catalogue.id_of(key)
        if item_id is not None and key not in hidden and fallback.catalogue.may_be_recommended(key):
            items.append(Ranked(item_id, key, score, TRENDING))
            hidden.add(key)
    return items + _any(wish.page_size - len(items), hidden, fallback.catalogue)


def _any(limit: int, hidden: set[int], catalogue: Catalogue) -> list[Ranked]:
    """Items of the catalogue that nothing is known of, the first added first."""
    items: list[Ranked] = []
    for key, item_id in catalogue.entries():
        if len(items) >= limit:
            break
        if key not in hidden:
            items.append(Ranked(item_id, key, 0.0, CATALOGUE))
    return items
