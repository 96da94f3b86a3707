"""Rows for items that a model's table lacks: by the company they keep and by their content.

A new item's vector is the mean of the vectors of the items beside it in histories; before there are enough of those,
what its categories, its brand and the words of its title usually look like counts as some of them (`TagMeans`), and,
where texts have vectors, what items whose texts mean about the same look like (`TextContent`). Its bias is low, as of
an item that few know. Pure.

Decision: only items that the catalogue describes get rows. Nothing else can be recommended, and ids that nobody has
ever described, of which senders can make up any number, take no memory of those who serve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared.domain.content.tag_means import TagMeans
from shared.domain.content.text_content import Description, TextContent, TextLessons, learn_texts
from shared.domain.lru import LeastRecentlyUsed

CONTENT_COUNTS = 5.0
"""Content weighs as much as so many events beside known items."""
BIAS_QUANTILE = 0.25
STRANGERS = 10_000
"""Items that are not described yet of which the company is remembered."""
LEAST_VARIANCE = 1e-9
"""Of a table's vectors: below, they are all the same, and all tags say the same."""


class NewRows(NamedTuple):
    """Rows of N items: item_keys (N,) uint64, vectors (N, D) float32, biases (N,) float32."""

    item_keys: np.ndarray
    vectors: np.ndarray
    biases: np.ndarray


@dataclass
class _Company:
    """The sum (D,) float64 of the vectors of `count` items."""

    total: np.ndarray
    count: int = 0

    def join(self, vector: np.ndarray) -> None:
        self.total += vector
        self.count += 1


class NewItems:
    """What is known of items that are not in the table of `item_keys` (V,) uint64, with `vectors` (V, D) float32 and
    `biases` (V,) float32."""

    def __init__(self, item_keys: np.ndarray, vectors: np.ndarray, biases: np.ndarray) -> None:
        self._rows = {key: row for row, key in enumerate(item_keys.tolist())}
        self._vectors = vectors
        self._bias = np.float32(np.quantile(biases, BIAS_QUANTILE))
        self._tag_means = TagMeans(max(_variance(vectors), LEAST_VARIANCE))
        self._descriptions: dict[int, Description] = {}
        self._lent: set[int] = set()
        self._lessons = TextLessons()
        self._texts: TextContent | None = None
        self._company: dict[int, _Company] = {}
        self._strangers: LeastRecentlyUsed[int, _Company] = LeastRecentlyUsed(STRANGERS)
        self._changed: dict[int, None] = {}
        self._given: set[int] = set()

    def has_row(self, item_key: int) -> bool:
        """Whether the item is in the table or was given a row."""
        return item_key in self._rows or item_key in self._given

    def note_given(self, item_keys: Iterable[int]) -> None:
        """These items have been given a row before."""
        self._given.update(item_keys)

    def describe(self, item_key: int, tags: Sequence[str], text: np.ndarray | None = None) -> None:
        """An item has these tags, see `content_tags`, and a text with this vector (E,); None for none, or for not asked
        for. An item of the table lends them its vector, once."""
        description = Description(tags, None if text is None else text.astype(np.float16))
        if item_key in self._rows:
            self._lend(item_key, description)
            return
        before = self._descriptions.get(item_key)
        if before is None:
            self._company[item_key] = self._strangers.peek(item_key) or self._nobody()
            self._strangers.drop(item_key)
        if before is None or not before.says(description):
            self._descriptions[item_key] = description
            self._changed[item_key] = None

    def _nobody(self) -> _Company:
        return _Company(np.zeros(self._vectors.shape[1]))

    def _lend(self, item_key: int, description: Description) -> None:
        if item_key not in self._lent:
            self._lent.add(item_key)
            self._tag_means.lend(description.tags, self._row(item_key))
            self._lessons.add(item_key, description)

    def _row(self, item_key: int) -> np.ndarray:
        return self._vectors[self._rows[item_key]].astype(np.float64)

    def wants_text(self, item_key: int) -> bool:
        """Whether it makes a difference to `describe` the item with a text."""
        if item_key not in self._rows:
            return True
        return item_key not in self._lent and self._lessons.wants(item_key)

    @property
    def texts_due(self) -> bool:
        """Whether enough items have been described with a text for `learn_texts`, since it was last used."""
        return self._lessons.due

    def learn_texts(self) -> TextContent:
        """What the table's items teach of texts, for `use_texts`. Changes nothing: as long as no item is described, it
        may run in a thread, beside all else. Raises ValueError for fewer than 2 items with a text."""
        lessons = self._lessons.sample()
        vectors = np.array([self._row(item_key) for item_key, _ in lessons])
        return learn_texts([description for _, description in lessons], vectors, self._tag_means)

    def use_texts(self, texts: TextContent) -> None:
        """From now on texts count so; rows of new items that have one have changed."""
        self._texts = texts
        self._lessons.learned()
        told = (item_key for item_key, each in self._descriptions.items() if each.text is not None)
        self._changed.update(dict.fromkeys(told))

    def meet(self, item_key: int, company: Collection[int]) -> None:
        """An event about the item stood behind events about `company`: those of them that are new met it, too."""
        for other in company:
            self._join(item_key, other)
            self._join(other, item_key)

    def _join(self, item_key: int, other: int) -> None:
        row = self._rows.get(other)
        if row is None or item_key in self._rows:
            return
        company = self._company.get(item_key)
        if company is not None:
            self._changed[item_key] = None
        else:
            company = self._strangers.get(item_key) or self._nobody()
            self._strangers.put(item_key, company)
        company.join(self._vectors[row])

    @property
    def pending(self) -> bool:
        """Whether rows have changed that were not taken."""
        return bool(self._changed)

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
        company, content = self._company[item_key], self._content(self._descriptions[item_key])
        if content is not None:
            return (company.total + CONTENT_COUNTS * content) / (company.count + CONTENT_COUNTS)
        return company.total / company.count if company.count else None

    def _content(self, description: Description) -> np.ndarray | None:
        by_tags = self._tag_means.content(description.tags)
        if self._texts is None or description.text is None:
            return by_tags
        return self._texts.content(description.text, by_tags)


def _variance(vectors: np.ndarray) -> float:
    """Mean squared distance from the mean, without a copy of the table in another precision."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    squares = np.einsum("vd,vd->", vectors, vectors, dtype=np.float64)
    return float(squares) / len(vectors) - float(mean @ mean)
