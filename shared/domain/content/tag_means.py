"""What items that share a tag usually look like: means of their vectors, and how closely they are alike. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PRIOR_ITEMS = 2.0
"""A tag's items count as alike as all items are, beside so many of that kind: one item alone is alike to nothing."""


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

    def without(self, vector: np.ndarray) -> _Tagged:
        """The others, beside an item with this vector."""
        return _Tagged(self.total - vector, self.count - 1, self.squares - float(vector @ vector))

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    def precision(self, variance: float) -> float:
        """How closely one more such item is expected to the mean, as one over the squared distance, of which `variance`
        is the unit: the mean one of all items from theirs, above 0."""
        spread = max(self.squares - self.count * float(self.mean @ self.mean), 0.0)
        within = (spread + PRIOR_ITEMS * variance) / (self.count + PRIOR_ITEMS - 1.0)
        return variance / (within * (1.0 + 1.0 / self.count))


class TagMeans:
    """Of a table whose vectors have this mean squared distance from their mean, above 0."""

    def __init__(self, variance: float) -> None:
        self._variance = variance
        self._tagged: dict[str, _Tagged] = {}

    def lend(self, tags: Sequence[str], vector: np.ndarray) -> None:
        """An item with these tags, each of them once, has this vector (D,) float64."""
        for tag in tags:
            self._tagged.setdefault(tag, _Tagged(np.zeros_like(vector))).add(vector)

    def content(self, tags: Sequence[str]) -> np.ndarray | None:
        """Mean (D,) float64 over tags of the mean vector of the items that have it, weighted by the squared precision;
        None when no item has any of them.

        Decision: squared, since tags of one item mostly tell the same twice; beside a category whose items are alike,
        words that few items share then hardly count. By neighbours of items that were left out this did better than
        precision itself and than inverse document frequency.
        """
        return self._mean([self._tagged[tag] for tag in tags if tag in self._tagged])

    def content_without(self, tags: Sequence[str], vector: np.ndarray) -> np.ndarray | None:
        """`content` as it would be, had the item with these tags and this vector lent it nothing."""
        rest = [self._tagged[tag].without(vector) for tag in tags if tag in self._tagged]
        return self._mean([tagged for tagged in rest if tagged.count])

    def _mean(self, known: Sequence[_Tagged]) -> np.ndarray | None:
        if not known:
            return None
        weights = np.array([tagged.precision(self._variance) for tagged in known]) ** 2
        return np.average(np.stack([tagged.mean for tagged in known]), axis=0, weights=weights)
