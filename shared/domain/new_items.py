"""Rows for items that a model's table lacks: by the company they keep and by their content.

A new item's vector is the mean of the vectors of the items beside it in histories; before there are enough of those,
what its categories and its brand usually look like counts as some of them. Rare categories say more than common ones
(inverse document frequency, Sparck Jones 1972). Its bias is low, as of an item that few know. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

CONTENT_COUNTS = 5.0
"""Content weighs as much as so many events beside known items."""
BIAS_QUANTILE = 0.25


class NewRows(NamedTuple):
    """Rows of N items: item_keys (N,) uint64, vectors (N, D) float32, biases (N,) float32."""

    item_keys: np.ndarray
    vectors: np.ndarray
    biases: np.ndarray


class NewItems:
    """What is known of items that are not in the table of `item_keys` (V,) uint64, with `vectors` (V, D) float32 and
    `biases` (V,) float32."""

    def __init__(self, item_keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> None:
        self._rows = {key: row for row, key in enumerate(item_keys.tolist())}
        self._vectors = vectors
        self._bias = np.float32(np.quantile(biases, BIAS_QUANTILE))
        self._tags: dict[int, Sequence[str]] = {}
        self._sums: dict[str, np.ndarray] = {}
        self._sizes: dict[str, int] = {}
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
        """An item has these categories and such; an item of the table lends them its vector, once."""
        row = self._rows.get(item_key)
        if row is None:
            if self._tags.get(item_key) != tags:
                self._tags[item_key] = tags
                self._changed[item_key] = None
        elif item_key not in self._tags:
            self._tags[item_key] = tags
            for tag in tags:
                self._sums[tag] = self._sums.get(tag, 0.0) + self._vectors[row].astype(np.float64)
                self._sizes[tag] = self._sizes.get(tag, 0) + 1

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
        """Mean over tags of the mean vector of the table's items that have it, weighted by how rare it is."""
        known = [tag for tag in tags if tag in self._sums]
        if not known:
            return None
        sizes = np.array([self._sizes[tag] for tag in known], np.float64)
        means = np.stack([self._sums[tag] for tag in known]) / sizes[:, None]
        return np.average(means, axis=0, weights=np.log1p(len(self._rows) / sizes))
