"""EASE: a linear model of the catalogue with a closed form, the strongest of the simple baselines.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", equations 8 and 9: with P = (X'X + lambda I)^-1
over the users' items X (U, V), item weights are B = -P / diag(P) off the diagonal and 0 on it. The newest events of a
history weigh more, which a sequence of clicks needs and a bag of items does not have.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from services.trainer.model.scoring import Histories
from services.trainer.model.sequences import EventRoles, has_type, training_rows
from shared.domain.event_columns import EventColumns

LARGEST_CATALOGUE = 20_000
"""Above, the matrix (V, V) and its inverse take too much memory and time."""


class CatalogueTooLarge(ValueError):
    """EASE is not made for so many items."""


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
    columns: EventColumns, roles: EventRoles | None = None, ridge: float = 300.0, decay: float = 0.9
) -> Ease:
    """Item weights from all users' items.

    Args:
        columns: events in log order.
        roles: ``target`` says which events count.
        ridge: lambda, > 0.
        decay: what an event weighs in a history for each newer one, in (0, 1].

    Raises:
        CatalogueTooLarge: more than `LARGEST_CATALOGUE` items.
    """
    roles, vocabulary = roles or EventRoles(), np.unique(columns.item_key)
    if len(vocabulary) > LARGEST_CATALOGUE:
        raise CatalogueTooLarge(f"EASE takes at most {LARGEST_CATALOGUE:,} items, not {len(vocabulary):,}")
    rows = training_rows(columns, vocabulary, roles)
    owner = np.repeat(np.arange(len(rows.lengths)), rows.lengths)
    counted = has_type(rows.event_type, roles.target)
    shape = (len(rows.lengths), len(vocabulary))
    bags = sparse.csr_matrix((np.ones(counted.sum()), (owner[counted], rows.item[counted])), shape)
    bags.data[:] = 1.0
    gram = np.asarray((bags.T @ bags).todense())
    gram[np.diag_indices(len(gram))] += ridge
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    weights[np.diag_indices(len(weights))] = 0.0
    return Ease(vocabulary, weights.astype(np.float32), roles, decay)
