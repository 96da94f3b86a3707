"""Items of the caller's choice: how they score and how probable each behaviour is. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.ranking.answers.encoding import encoded, history_rows
from services.ranking.answers.policy import CATALOGUE, MODEL, TRENDING, Answer, Fallback, Ranked
from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import ServingModel
from services.ranking.model.scorer import UNKNOWN

UNKNOWN_ITEM = "unknown"
_LAST = {MODEL: 0, TRENDING: 0, CATALOGUE: 1, UNKNOWN_ITEM: 2}


class Candidates(NamedTuple):
    """What one call asks to rank. item_keys: (n,) uint64, of the ids in their order."""

    item_ids: Sequence[str]
    item_keys: np.ndarray


class Judged(NamedTuple):
    """What a model says of one user's candidates: scores (n,) float32; probabilities (n, O) float32, None without a
    ranker; known (n,) bool, whether the model has a row; has_history: whether it knows an item of the history."""

    scores: np.ndarray
    probabilities: np.ndarray | None
    known: np.ndarray
    has_history: bool


def rank_candidates(
    asked: Sequence[Candidates],
    states: Sequence[UserState],
    model: ServingModel | None,
    fallback: Fallback,
) -> list[Answer]:
    """One answer per call with all its candidates: by the model for users whose history it knows something of, else by
    what is trending; probabilities also for the others, since the ranker has met such users, too."""
    if model is None:
        return [_ordered(each, *_trending(each, fallback), None) for each in asked]
    judged = judge(states, [each.item_keys for each in asked], model)
    return [_answer(each, found, fallback) for each, found in zip(asked, judged, strict=True)]


def with_probabilities(
    answers: Sequence[Answer], states: Sequence[UserState], model: ServingModel
) -> list[Answer]:
    """The same answers with probabilities; as they are when the model has none. The users are encoded a second time, so
    that whoever asks for no probabilities pays nothing."""
    if model.scorer.ranker is None:
        return list(answers)
    keys = [np.array([item.item_key for item in answer.items], np.uint64) for answer in answers]
    judged = judge(states, keys, model)
    return [
        answer._replace(probabilities=_of_known(found)) for answer, found in zip(answers, judged, strict=True)
    ]


def judge(states: Sequence[UserState], item_keys: Sequence[np.ndarray], model: ServingModel) -> list[Judged]:
    """What the model says of each user's candidates, keys (n_i,) uint64."""
    scorer = model.scorer
    rows = history_rows(states, scorer)
    has_history: list[bool] = np.any(rows >= 0, axis=1).tolist()
    vectors, rows, event_type = encoded(states, rows, scorer)
    items = _rows_of(item_keys, model)
    inputs = scorer.item_inputs(vectors, rows, event_type, items)
    found = scorer.ranker.probabilities(inputs) if scorer.ranker else None
    scores = inputs.scores
    return [
        Judged(
            scores[place, : len(keys)],
            found[place, : len(keys)] if found is not None else None,
            items[place, : len(keys)] >= 0,
            has_history[place],
        )
        for place, keys in enumerate(item_keys)
    ]


def _rows_of(item_keys: Sequence[np.ndarray], model: ServingModel) -> np.ndarray:
    """Rows (B, N) of the model's table, N of the longest; UNKNOWN on the right of the others."""
    rows = np.full((len(item_keys), max(map(len, item_keys))), UNKNOWN)
    for place, keys in enumerate(item_keys):
        rows[place, : len(keys)] = model.scorer.rows(keys)
    return rows


def _answer(asked: Candidates, judged: Judged, fallback: Fallback) -> Answer:
    probabilities = _of_known(judged)
    if not judged.has_history:
        return _ordered(asked, *_trending(asked, fallback), probabilities)
    sources = [
        MODEL if known else _unscored(key, fallback)
        for key, known in zip(asked.item_keys.tolist(), judged.known.tolist(), strict=True)
    ]
    return _ordered(asked, np.where(judged.known, judged.scores, 0), sources, probabilities)._replace(
        by_model=True
    )


def _of_known(judged: Judged) -> np.ndarray | None:
    """Probabilities (n, O), NaN for items that the model does not know."""
    if judged.probabilities is None:
        return None
    return np.where(judged.known[:, None], judged.probabilities, np.float32(np.nan))


def _trending(asked: Candidates, fallback: Fallback) -> tuple[np.ndarray, list[str]]:
    """Scores (n,) and sources by what is trending."""
    score_of, keys = fallback.trending, asked.item_keys.tolist()
    sources = [TRENDING if key in score_of else _unscored(key, fallback) for key in keys]
    return np.array([score_of.get(key, 0.0) for key in keys], np.float32), sources


def _unscored(key: int, fallback: Fallback) -> str:
    return UNKNOWN_ITEM if fallback.catalogue.id_of(key) is None else CATALOGUE


def _ordered(
    asked: Candidates, scores: np.ndarray, sources: list[str], probabilities: np.ndarray | None
) -> Answer:
    """The best first, what nothing scores behind; of equal ones, in the order of the request."""
    order = np.lexsort((-scores, np.array([_LAST[source] for source in sources]))).tolist()
    keys = asked.item_keys.tolist()
    items = [Ranked(asked.item_ids[row], keys[row], float(scores[row]), sources[row]) for row in order]
    return Answer(items, False, probabilities[order] if probabilities is not None else None)
