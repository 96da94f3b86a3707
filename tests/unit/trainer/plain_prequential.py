"""Test-then-learn as one would write it down: one event after the other, dictionaries and sets."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.scoring import Histories, Scorer
from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE
from services.trainer.model.sequences import has_type
from shared.domain.events.event_columns import EventColumns


class Row(NamedTuple):
    """One row of the log."""

    user: int
    item: int
    kind: int
    time_ms: int


class HashLearner:
    """Scores that change with everything a scorer is given, and with everything that was learned."""

    def __init__(self, catalogue: np.ndarray) -> None:
        self._catalogue, self._learned = catalogue, 0

    def learn(self, columns: EventColumns) -> None:
        self._learned += int(columns.item_key.sum()) + 7 * len(columns)

    def scorer(self) -> HashScorer:
        return HashScorer(self._catalogue[: 1 + self._learned % len(self._catalogue)], self._learned)


class HashScorer:
    """Knows some of the items; few distinct scores, so that ties occur."""

    def __init__(self, item_keys: np.ndarray, learned: int) -> None:
        self.item_keys, self._learned = item_keys, learned

    def __call__(self, histories: Histories) -> np.ndarray:
        weights = np.arange(1, histories.mask.shape[1] + 1)
        facts = histories.item_keys.astype(np.int64) * 3 + histories.event_type * 5
        facts = facts + histories.age_seconds.astype(np.int64)
        told = (np.where(histories.mask, facts, 0) * weights).sum(axis=1) + self._learned
        return ((told[:, None] * (self.item_keys.astype(np.int64) + 1)) % 5).astype(np.float32)


def plain_prequential(
    columns: EventColumns, learner: HashLearner, cuts: list[tuple[int, int]], options: CaseOptions
) -> dict[str, list[int]]:
    """Ranks by mode. cuts: first and last + 1 row of what is asked before it is learned."""
    roles, catalogue = options.roles, np.unique(columns.item_key)
    history, seen = defaultdict(list), defaultdict(set)
    begin = cuts[0][0] if cuts else len(columns)
    learner.learn(columns.take(slice(0, begin)))
    rows = [Row(*each) for each in _tuples(columns)]
    for row in rows[:begin]:
        _note(row, roles, history, seen)
    frozen, old = learner.scorer(), {user: list(events) for user, events in history.items()}
    ranks: dict[str, list[list[int]]] = {CONTINUAL: [], FROZEN: [], STALE: []}
    for first, last in cuts:
        continual = learner.scorer()
        for event in _events(columns, first, last):
            for row in (rows[index] for index in event):
                if not _is(row.kind, roles.target) or row.item in seen[row.user]:
                    continue
                asked = (row, seen[row.user], catalogue)
                live = _histories(history[row.user], options.history_length)
                stale = _histories(old.get(row.user, []), options.history_length)
                ranks[CONTINUAL].append(_rank(continual, live, *asked))
                ranks[FROZEN].append(_rank(frozen, live, *asked))
                ranks[STALE].append(_rank(frozen, stale, *asked))
            for index in event:
                _note(rows[index], roles, history, seen)
        learner.learn(columns.take(slice(first, last)))
    return ranks


def _tuples(columns: EventColumns) -> list[tuple[int, ...]]:
    names = (columns.user_key, columns.item_key, columns.event_type, columns.time_ms)
    return list(zip(*(column.tolist() for column in names), strict=True))


def _events(columns: EventColumns, first: int, last: int) -> list[list[int]]:
    found = defaultdict(list)
    for index in range(first, last):
        found[int(columns.position[index])].append(index)
    return list(found.values())


def _is(kind: int, types: frozenset[int] | None) -> bool:
    return bool(has_type(np.array([kind]), types)[0])


def _note(row: Row, roles, history, seen) -> None:
    if _is(row.kind, roles.history):
        history[row.user].append(row)
    if _is(row.kind, roles.seen):
        seen[row.user].add(row.item)


def _histories(events: list[Row], length: int) -> Histories:
    newest, empty = events[-length:], length - len(events[-length:])
    ages = [(max(each.time_ms for each in newest) - row.time_ms) / 1000.0 for row in newest]
    return Histories(
        np.array([[0] * empty + [row.item for row in newest]], np.uint64),
        np.array([[0] * empty + [row.kind for row in newest]], np.int64),
        np.array([[0.0] * empty + ages], np.float32),
        np.array([[False] * empty + [True] * len(newest)]),
    )


def _rank(scorer: Scorer, histories: Histories, row: Row, seen: set[int], catalogue: np.ndarray) -> list[int]:
    scores = dict(zip(scorer.item_keys.tolist(), scorer(histories)[0].tolist(), strict=True))
    candidates = [item for item in catalogue.tolist() if item not in seen]
    if row.item not in scores:
        return [len(candidates)] * 2
    others = [scores[item] for item in candidates if item in scores and item != row.item]
    own = scores[row.item]
    first = 1 + sum(score > own for score in others)
    return [first, first + sum(score == own for score in others)]
