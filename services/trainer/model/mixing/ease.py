"""EASE: a linear model of the catalogue with a closed form, the strongest of the simple baselines.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", equations 8 and 9: with P = (X'X + lambda I)^-1
over the users' items X (U, V), item weights are B = -P / diag(P) off the diagonal and 0 on it. The newest events of a
history weigh more, which a sequence of clicks needs and a bag of items does not have.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from services.trainer.model.answering.scoring import Histories
from services.trainer.model.sequences import EventRoles, has_type, training_rows
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.item_rules import GEOMETRIC, ItemRules, most_followers

MOST_ITEMS = 10_000
"""Of a larger catalogue the most popular items take part: the matrix of so many is inverted in half a minute on two
cores, and more than once in a run, and its time grows with the cube of their number."""
RIDGE = 300.0
"""lambda of equation 8."""
EXACT_UP_TO = 4_000
"""Items whose matrix is inverted in float64, in two seconds; of more, float32 takes half the time and memory."""
_EVERY_ITEMS = 2
_ROWS_AT_ONCE = 256


def ease_every(items: int) -> int:
    """New events after which it is solved again: its time grows with the cube of the items."""
    return _EVERY_ITEMS * items


class Ease:
    """Scores by item weights."""

    def __init__(self, item_keys: np.ndarray, weights: np.ndarray, roles: EventRoles, decay: float) -> None:
        self._item_keys, self._weights, self._roles, self._decay = item_keys, weights, roles, decay

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self._item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """``(B, V) float32``."""
        known = histories.only(self._item_keys)
        counted = known.mask & has_type(known.event_type, self._roles.target)
        user, place = np.nonzero(counted)
        item = np.searchsorted(self._item_keys, known.item_keys[user, place])
        weight = self._decay ** (known.mask.shape[1] - 1 - place)
        bags = sparse.csr_matrix((weight, (user, item)), (len(known), len(self._item_keys)), np.float32)
        return np.asarray(bags @ self._weights, np.float32)


def learn_ease(
    columns: EventColumns, roles: EventRoles | None = None, ridge: float = RIDGE, decay: float = 0.9
) -> Ease:
    """Item weights from all users' items; it knows `MOST_ITEMS` items at most.

    Args:
        columns: events in log order.
        roles: ``target`` says which events count.
        ridge: lambda, > 0.
        decay: what an event weighs in a history for each newer one, in (0, 1].
    """
    roles, vocabulary = roles or EventRoles(), np.unique(columns.item_key)
    bags = _bags(columns, vocabulary, roles)
    popular = _most_popular(bags)
    return Ease(vocabulary[popular], _weights(bags[:, popular], ridge), roles, decay)


def ease_rules(
    columns: EventColumns, vocabulary: np.ndarray, roles: EventRoles, followers: int = 100
) -> ItemRules:
    """The strongest weights of EASE as they are served: rules among the items of ``vocabulary (V,) uint64`` (sorted).

    Decision: of each item its largest weights above 0 are kept, so that a request reads a few thousand numbers and not
    whole rows; measured on MovieLens 100k, a hundred of 1,682 rank as well as all.

    Args:
        columns: events in log order.
        roles: ``target`` says which events count.
        followers: most kept of an item.
    """
    bags = _bags(columns, vocabulary, roles)
    popular = _most_popular(bags)
    weights = _weights(bags[:, popular], RIDGE)
    kept = min(most_followers(len(vocabulary), followers), len(popular))
    strongest = _strongest(weights, kept)
    amount = np.take_along_axis(weights, strongest, axis=1)
    counted = amount > 0
    used = np.zeros(len(vocabulary), np.int64)
    used[popular] = counted.sum(axis=1)
    start = np.append(0, np.cumsum(used))
    total = np.ones(len(vocabulary), np.float32)
    return ItemRules.of_rows(start, popular[strongest[counted]], amount[counted], total, GEOMETRIC)


def _strongest(weights: np.ndarray, kept: int) -> np.ndarray:
    """``(P, kept) int64``: the largest of each row of ``weights (P, P)``, ascending.

    Decision: some rows at a time. The order of all of 10,000 would take 1.2 GB beside the 0.4 GB that they are.
    """
    found = np.empty((len(weights), kept), np.int64)
    for start in range(0, len(weights), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        found[rows] = np.argpartition(-weights[rows], kept - 1, axis=1)[:, :kept]
    return np.sort(found, axis=1)


def _bags(columns: EventColumns, vocabulary: np.ndarray, roles: EventRoles) -> sparse.csr_matrix:
    """``(U, V) float32``: 1 where a user had an item."""
    rows = training_rows(columns, vocabulary, roles)
    owner = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    counted = has_type(rows.event_type, roles.target)
    shape = (len(rows.lengths), len(vocabulary))
    had = np.ones(counted.sum(), np.float32)
    bags = sparse.csr_matrix((had, (owner[counted], rows.item[counted])), shape)
    bags.data[:] = 1.0
    return bags


def _most_popular(bags: sparse.csr_matrix) -> np.ndarray:
    """Columns of the items that take part, ``(P,) int64``, ascending; of equally popular ones the first."""
    users = np.asarray(bags.sum(axis=0)).ravel()
    return np.sort(np.argsort(-users, kind="stable")[:MOST_ITEMS])


def _weights(bags: sparse.csr_matrix, ridge: float) -> np.ndarray:
    """``(V, V) float32``: B of the paper; the inverse by Cholesky, as the matrix is positive definite."""
    if not bags.shape[1]:
        return np.zeros((0, 0), np.float32)
    dtype = np.float64 if bags.shape[1] <= EXACT_UP_TO else np.float32
    # In Fortran's order LAPACK works in place.
    gram: np.ndarray = np.asarray((bags.T @ bags).todense(order="F"), dtype, order="F")
    gram[np.diag_indices(len(gram))] += ridge
    upper = linalg.cholesky(gram, overwrite_a=True, check_finite=False)
    invert = linalg.get_lapack_funcs("potri", (upper,))
    inverse, failed = invert(upper, overwrite_c=True)
    assert not failed, "a positive definite matrix has an inverse"
    diagonal = np.diag(inverse).copy()
    weights = _mirrored(inverse).T
    weights /= -diagonal
    weights[np.diag_indices(len(weights))] = 0.0
    return weights.astype(np.float32, copy=False)


def _mirrored(upper: np.ndarray) -> np.ndarray:
    """The symmetric matrix, but for its diagonal, of a triangle ``(V, V)`` below which all is 0; in place."""
    for start in range(0, len(upper), _ROWS_AT_ONCE):
        rows, behind = slice(start, start + _ROWS_AT_ONCE), slice(start + _ROWS_AT_ONCE, None)
        upper[behind, rows] = upper[rows, behind].T
        upper[rows, rows] += upper[rows, rows].T.copy()
    return upper
