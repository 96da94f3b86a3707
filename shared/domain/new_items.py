"""Rows for items that a model's table lacks: by the company they keep and by their content.

A new item's vector is the mean of the vectors of the items beside it in histories; before there are enough of those,
what its categories, its brand and the words of its title usually look like counts as some of them. Tags whose items
are alike say more than those whose items differ. Its bias is low, as of an item that few know. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

CONTENT_COUNTS = 5.0
"""Content weighs as much as so many events beside known items."""
PRIOR_ITEMS = 2.0
"""A tag's items count as alike as all items are, beside so many of that kind: one item alone is alike to nothing."""
BIAS_QUANTILE = 0.25
LEAST_VARIANCE = 1e-9
"""Of a table's vectors: below, they are all the same, and all tags say the same."""


class NewRows(NamedTuple):
    """Rows of N items: item_keys (N,) uint64, vectors (N, D) float32, biases (N,) float32."""

    item_keys: np.ndarray
    vectors: np.ndarray
    biases: np.ndarray


@dataclass(slots=True)
class _Tagged:
    """The table's items that have a tag: how many, the sum of their vectors (D,) float64, and of their squared
    lengths."""

    total: np.ndarray
    count: int = 0
    squares: float = 0.0

    def add(self, vector: np.ndarray) -> None:
        self.total += vector
        self.count += 1
        self.squares += float(vector @ vector)

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    def precision(self, variance: float) -> float:
        """How closely one more such item is expected to the mean, as one over the squared distance, of which `variance`
        is the unit: the mean one of all items from theirs, above 0."""
        spread = max(self.squares - self.count * float(self.mean @ self.mean), 0.0)
        within = (spread + PRIOR_ITEMS * variance) / (self.count + PRIOR_ITEMS - 1.0)
        return variance / (within * (1.0 + 1.0 / self.count))


class NewItems:
    """What is known of items that are not in the table of `item_keys` (V,) uint64, with `vectors` (V, D) float32 and
    `biases` (V,) float32."""

    def __init__(self, item_keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> None:
        self._rows = {key: row for row, key in enumerate(item_keys.tolist())}
        self._vectors = vectors
        self._bias = np.float32(np.quantile(biases, BIAS_QUANTILE))
        self._variance = max(_variance(vectors), LEAST_VARIANCE)
        self._tags: dict[int, Sequence[str]] = {}
        self._lent: set[int] = set()
        self._tagged: dict[str, _Tagged] = {}
        self._company: dict[int, tuple[np.ndarray, int]] = {}
        self._changed: dict[int, None] = {}
        self._given: set[int] = set()

    def has_row(self, item_key: int) -> bool:
        """Whether the item is in the table or was given a row."""
        return item_key in self._rows or item_key in self._given

    def note_given(self, item_keys: Iterable[int]) -> None:
        """These items have been given a row before."""
        self._given.update(item_keys)

    def describe(self, item_key: int, tags: Sequence[str]) -> None:
        """An item has these tags, see `content_tags`; an item of the table lends them its vector, once."""
        row = self._rows.get(item_key)
        if row is None:
            if self._tags.get(item_key) != tags:
                self._tags[item_key] = tags
                self._changed[item_key] = None
        elif item_key not in self._lent:
            self._lent.add(item_key)
            vector = self._vectors[row].astype(np.float64)
            for tag in tags:
                self._tagged.setdefault(tag, _Tagged(np.zeros_like(vector))).add(vector)

    def meet(self, item_key: int, company: Collection[int]) -> None:
        """An event about the item stood behind events about `company`: those of them that are new met it, too."""
        for other in company:
            self._join(item_key, other)
            self._join(other, item_key)

    def _join(self, item_key: int, other: int) -> None:
        row = self._rows.get(other)
        if row is None or item_key in self._rows:
            return
        total, count = self._company.get(item_key, (np.zeros(self._vectors.shape[1]), 0))
        self._company[item_key] = (total + self._vectors[row], count + 1)
        self._changed[item_key] = None

    def take(self, limit: int) -> NewRows:
        """At most `limit` rows that are new or have changed since they were last taken. An item of which nothing is
        known has none."""
        keys: list[int] = []
        vectors: list[np.ndarray] = []
        while self._changed and len(keys) < limit:
            key = next(iter(self._changed))
            del self._changed[key]
            if (vector := self._vector(key)) is not None:
                keys.append(key)
                vectors.append(vector)
        self._given.update(keys)
        made = np.array(vectors, np.float32).reshape(len(keys), self._vectors.shape[1])
        return NewRows(np.array(keys, np.uint64), made, np.full(len(keys), self._bias, np.float32))

    def _vector(self, item_key: int) -> np.ndarray | None:
        total, count = self._company.get(item_key, (np.zeros(self._vectors.shape[1]), 0))
        content = self._content(self._tags.get(item_key, ()))
        if content is not None:
            return (total + CONTENT_COUNTS * content) / (count + CONTENT_COUNTS)
        return total / count if count else None

    def _content(self, tags: Sequence[str]) -> np.ndarray | None:
        """Mean over tags of the mean vector of the table's items that have it, weighted by the squared precision.

        Decision: squared, since tags of one item mostly tell the same twice; beside a category whose items are alike,
        words that few items share then hardly count. By neighbours of items that were left out this did better than
        precision itself and than inverse document frequency.
        """
        known = [self._tagged[tag] for tag in tags if tag in self._tagged]
        if not known:
            return None
        weights = np.array([tagged.precision(self._variance) for tagged in known]) ** 2
        return np.average(np.stack([tagged.mean for tagged in known]), axis=0, weights=weights)


def _variance(vectors: np.ndarray) -> float:
    """Mean squared distance from the mean, without a copy of the table in another precision."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    squares = np.einsum("vd,vd->", vectors, vectors, dtype=np.float64)
    return float(squares) / len(vectors) - float(mean @ mean)
