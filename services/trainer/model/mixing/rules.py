"""Learns sequence rules from a log: see `shared.domain.models.item_rules` for what they are."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from services.trainer.model.answering.scoring import Histories
from services.trainer.model.sequences import EventRoles, TrainingRows, has_type, training_rows
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.item_rules import ItemRules, RulePlan, most_followers

RULES_EVERY = 1_024
"""New events after which rules are counted again, as good as in service."""


def rules_every(events: int) -> int:
    """The same where there are so many events: a hundredth of many, or the time for it would grow with the square of
    their number."""
    return max(RULES_EVERY, events // 100)


def learn_rules(
    columns: EventColumns, vocabulary: np.ndarray, roles: EventRoles, plan: RulePlan | None = None
) -> ItemRules:
    """Rules among the items of ``vocabulary (V,) uint64`` (sorted).

    Only what is worth predicting fires a rule or follows by one: an item that was disliked calls for nothing.

    Args:
        columns: events in log order.
        vocabulary: items of the model the rules go with.
        roles: ``target`` says which events count.
        plan: how they are counted.
    """
    plan = plan or RulePlan()
    rows = training_rows(columns, vocabulary, roles)
    counts = directed_counts(rows, len(vocabulary), has_type(rows.event_type, roles.target), plan)
    total = np.asarray(counts.sum(axis=1)).ravel() + plan.shrinkage
    return _strongest(counts, total, most_followers(len(vocabulary), plan.followers))


def directed_counts(
    rows: TrainingRows, n_items: int, counted: np.ndarray, plan: RulePlan
) -> sparse.csr_matrix:
    """``(V, V) float64``: how much item j followed item i, near ones more.

    Args:
        rows: events grouped by user.
        n_items: V.
        counted: ``(N,) bool``, events that fire rules.
        plan: window and decay.
    """
    owner = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    counts = sparse.csr_matrix((n_items, n_items), dtype=np.float64)
    for step in range(1, min(plan.window, max(len(rows) - 1, 0)) + 1):
        follows = (owner[step:] == owner[:-step]) & counted[:-step] & rows.is_target[step:]
        left, right = rows.item[:-step][follows], rows.item[step:][follows]
        weight = np.full(len(left), plan.distance_decay ** (step - 1))
        counts = counts + sparse.csr_matrix((weight, (left, right)), (n_items, n_items))
    counts.setdiag(0.0)
    counts.eliminate_zeros()
    return counts.tocsr()


def _strongest(counts: sparse.csr_matrix, total: np.ndarray, followers: int) -> ItemRules:
    """Of each row its largest entries, in the order of items; of equal ones those of the first items."""
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    order = np.lexsort((counts.indices, -counts.data, row))
    rank = np.arange(len(order)) - np.repeat(counts.indptr[:-1], np.diff(counts.indptr))
    kept = np.sort(order[rank < followers])
    start = np.append(0, np.cumsum(np.bincount(row[kept], minlength=counts.shape[0]))).astype(np.int64)
    return ItemRules.of_rows(start, counts.indices[kept], counts.data[kept], total.astype(np.float32))


class RuleScorer:
    """Scores by rules alone.

    Attributes:
        item_keys: ``(V,) uint64``, sorted ascending.
    """

    def __init__(self, item_keys: np.ndarray, rules: ItemRules, roles: EventRoles) -> None:
        self._item_keys, self._rules, self._roles = item_keys, rules, roles

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``."""
        return self._rules.scores(firing_rows(histories, self._item_keys, self._roles.target))


def firing_rows(histories: Histories, item_keys: np.ndarray, types: frozenset[int] | None) -> np.ndarray:
    """``(B, T) int64``: rows in ``item_keys (V,)`` of events that fire rules, -1 for the others; right-aligned without
    events on unknown items, as the encoder reads them."""
    known = histories.only(item_keys)
    row = np.searchsorted(item_keys, known.item_keys)
    return np.where(known.mask & has_type(known.event_type, types), row, -1)
