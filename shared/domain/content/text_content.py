"""What texts say of items' vectors, beside what tags say: words that mean the same count as the same. Pure.

Texts come as vectors that someone else has made. Of the table's items with a text a sample teaches a linear map from
texts to vectors, and how much it counts beside tags: both forecast each item of the sample as if it were new, and
weights are given by how that comes out (`stacked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared.domain.content.stacking import Stack, stacked
from shared.domain.content.tag_means import TagMeans
from shared.domain.content.text_map import TextMap, fit_text_map

LEAST_LESSONS = 30
"""Items with a text, without which texts say nothing."""
MOST_LESSONS = 5_000
"""That are learned from: some twenty for each number of a text's vector."""
GROWTH = 1.5
"""What has been learned is learned anew when there are so many times the lessons."""

TAGS_ALONE = Stack(1.0, 0.0)


class Description(NamedTuple):
    """What the catalogue says of an item: tags, see `content_tags`, and its text's vector (E,) float16; None for none.

    Half precision is a thousandth of a number, far below what a text can tell, and half the memory.
    """

    tags: Sequence[str]
    text: np.ndarray | None = None

    def says(self, other: Description) -> bool:
        """Whether both say the same."""
        if self.text is None or other.text is None:
            return self.text is other.text and self.tags == other.tags
        return self.tags == other.tags and np.array_equal(self.text, other.text)


@dataclass(frozen=True, slots=True, eq=False)
class TextContent:
    """What was learned of texts: a map to vectors, and the weights of tags (first) and texts (second)."""

    map: TextMap
    stack: Stack

    def content(self, text: np.ndarray, by_tags: np.ndarray | None) -> np.ndarray:
        """The vector (D,) float64 of an item with this text (E,), whose tags say `by_tags` (D,), or nothing."""
        by_text = self.map.vectors(text.astype(np.float64))
        if by_tags is None:
            return by_text
        mean = self.map.vector_mean
        return mean + self.stack.first * (by_tags - mean) + self.stack.second * (by_text - mean)


class TextLessons:
    """Descriptions of the table's items with a text. Of many, those with the smallest keys, which are hashes: the same
    sample whatever the order, and as good as drawn at random."""

    def __init__(self) -> None:
        self._lessons: dict[int, Description] = {}
        self._largest_key: int | None = None
        self._learned = 0

    def wants(self, item_key: int) -> bool:
        """Whether the item belongs to the sample, as far as it is known."""
        return self._largest_key is None or item_key < self._largest_key

    def add(self, item_key: int, description: Description) -> None:
        """Take in an item; one that is not wanted is left out."""
        if description.text is None or not self.wants(item_key):
            return
        self._lessons[item_key] = description
        if len(self._lessons) >= 2 * MOST_LESSONS:
            self._lessons = dict(self.sample())
            self._largest_key = max(self._lessons)

    def sample(self) -> list[tuple[int, Description]]:
        """What is learned from, by key."""
        return sorted(self._lessons.items(), key=lambda lesson: lesson[0])[:MOST_LESSONS]

    @property
    def due(self) -> bool:
        """Whether there is enough to learn for the first time, or anew."""
        count = min(len(self._lessons), MOST_LESSONS)
        return count >= max(LEAST_LESSONS, GROWTH * self._learned)

    def learned(self) -> None:
        """All of the sample has been learned."""
        self._learned = min(len(self._lessons), MOST_LESSONS)


def learn_texts(lessons: Sequence[Description], vectors: np.ndarray, tag_means: TagMeans) -> TextContent:
    """What N items, 2 or more, with these descriptions and vectors (N, D) float64 teach of texts. They must have lent
    `tag_means` their vectors.

    Raises ValueError when one has no text.
    """
    texts = [lesson.text for lesson in lessons if lesson.text is not None]
    if len(texts) < len(lessons):
        raise ValueError("a lesson has no text")
    fitted = fit_text_map(np.stack(texts).astype(np.float64), vectors)
    return TextContent(fitted.map, _stack(lessons, vectors, tag_means, fitted.left_out))


def _stack(
    lessons: Sequence[Description], vectors: np.ndarray, tag_means: TagMeans, by_texts: np.ndarray
) -> Stack:
    """By the items of which tags say something as if they were new; where they never do, tags are left as they are."""
    by_tags = [
        tag_means.content_without(lesson.tags, vector)
        for lesson, vector in zip(lessons, vectors, strict=True)
    ]
    told = [number for number, content in enumerate(by_tags) if content is not None]
    if not told:
        return TAGS_ALONE
    mean = vectors.mean(axis=0)
    tags = np.stack([content for content in by_tags if content is not None])
    return _unshrunk(stacked(vectors[told] - mean, tags - mean, by_texts[told] - mean))


def _unshrunk(stack: Stack) -> Stack:
    """Weights in the same proportion that sum to 1 or more.

    Decision: small ones move an item to the mean of all. That is closer by squared distance where little is known, but
    takes away what sets the item apart: of items that were left out, fewer neighbours were found than by tags alone,
    which are not moved either.
    """
    total = stack.first + stack.second
    if total <= 0.0:
        return TAGS_ALONE
    return Stack(stack.first / min(total, 1.0), stack.second / min(total, 1.0))
