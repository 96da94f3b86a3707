"""Histories, and what scores the catalogue for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from services.trainer.model.ages import ages
from services.trainer.model.fitting.training import TrainedModel
from services.trainer.model.sequences import UserSequences, groups_of, occurs


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Right-aligned histories of B users: the newest event stands at T-1, padding on the left.

    Attributes:
        item_keys: ``(B, T) uint64``; 0 under the mask.
        event_type: ``(B, T) int64``; 0 under the mask.
        age_seconds: ``(B, T) float32``, as of `ages`.
        mask: ``(B, T) bool``, True where an event stands.
    """

    item_keys: np.ndarray
    event_type: np.ndarray
    age_seconds: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.mask)

    @classmethod
    def of(cls, events: UserSequences, users: np.ndarray, length: int) -> Histories:
        """The newest ``length`` events of each user.

        Args:
            events: events by user.
            users: ``(B,) uint64``; a user that does not occur gets an empty history.
            length: T.
        """
        place = np.minimum(np.searchsorted(events.user_keys, users), max(len(events) - 1, 0))
        if not len(events):
            return cls._empty(len(users), length)
        known = events.user_keys[place] == users
        end = np.where(known, events.offsets[place + 1], 0)
        start = np.where(known, events.offsets[place], 0)
        columns = (events.item_keys, events.event_type, events.time_ms)
        return cls.of_spans(columns, np.stack([start, end], axis=1), length)

    @classmethod
    def of_spans(cls, columns: tuple[np.ndarray, ...], spans: np.ndarray, length: int) -> Histories:
        """The last ``length`` rows of each span.

        Args:
            columns: item keys ``(N,) uint64``, event types and times in ms ``(N,) int64``.
            spans: ``(B, 2) int64``, first row and the one behind the last.
            length: T.
        """
        item_keys, event_type, time_ms = columns
        if not len(item_keys):
            return cls._empty(len(spans), length)
        row = spans[:, 1:] - length + np.arange(length)  # (B, T)
        mask = row >= spans[:, :1]
        row = np.where(mask, row, 0)
        return cls(
            np.where(mask, item_keys[row], np.uint64(0)),
            np.where(mask, event_type[row], 0),
            ages(time_ms[row], mask),
            mask,
        )

    @classmethod
    def _empty(cls, users: int, length: int) -> Histories:
        shape = (users, length)
        return cls(*(np.zeros(shape, kind) for kind in (np.uint64, np.int64, np.float32, bool)))

    def take(self, rows: np.ndarray | slice) -> Histories:
        """The selected users."""
        return Histories(self.item_keys[rows], self.event_type[rows], self.age_seconds[rows], self.mask[rows])

    def newest(self, length: int) -> Histories:
        """Without the columns before the last ``length``."""
        first = self.mask.shape[1] - length
        columns = (self.item_keys, self.event_type, self.age_seconds, self.mask)
        return Histories(*(column[:, first:] for column in columns))

    def only(self, vocabulary: np.ndarray) -> Histories:
        """Without events on items outside ``vocabulary (V,) uint64`` (sorted); the rest is right-aligned."""
        kept = self.mask & occurs(self.item_keys, vocabulary)
        if np.array_equal(kept, self.mask):
            return self
        order = np.argsort(kept, axis=1, kind="stable")
        columns = (self.item_keys, self.event_type, self.age_seconds, kept)
        moved = (np.take_along_axis(column * kept, order, axis=1) for column in columns)
        return Histories(*moved)


def encoder_inputs(
    histories: Histories, item_keys: np.ndarray, item_vectors: np.ndarray
) -> dict[str, np.ndarray]:
    """The encoder's inputs by name; events on items outside ``item_keys (V,)`` are left out of the history.

    Args:
        item_keys: ``(V,) uint64``, sorted ascending.
        item_vectors: ``(V, D) float32``.
    """
    known = histories.only(item_keys)
    row = np.where(known.mask, np.searchsorted(item_keys, known.item_keys), 0)
    return {
        "history_vectors": item_vectors[row],
        "event_type": known.event_type,
        "age_seconds": known.age_seconds,
        "mask": known.mask,
    }


class Scorer(Protocol):
    """Scores its items for histories. Two rankers with different vocabularies are compared over item keys."""

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending: the items it can score."""

    def __call__(self, histories: Histories) -> np.ndarray:
        """Scores ``(B, V) float32``, higher is better, no NaN; seen items are scored like any other."""


_EVENTS_AT_ONCE = 4_096
"""Of histories of like length: layers that look at all pairs of events are slower when these no longer lie in the
cache."""


def user_vectors(model: TrainedModel, histories: Histories) -> np.ndarray:
    """``(B, D) float32``; events on items the model does not know are left out of the history."""
    vectors = np.empty((len(histories), model.item_vectors.shape[1]), np.float32)
    known = histories.only(model.item_keys)
    lengths = np.maximum(known.mask.sum(axis=1), 1)  # (B,)
    order = np.argsort(lengths, kind="stable")
    for first, last in groups_of(lengths[order], _EVENTS_AT_ONCE):
        rows = order[first:last]
        newest = known.take(rows).newest(int(lengths[rows[-1]]))
        inputs = encoder_inputs(newest, model.item_keys, model.item_vectors)
        with torch.no_grad():
            vectors[rows] = model.encoder.eval().last(*map(torch.from_numpy, inputs.values()))  # (R, D)
    return vectors


class ModelScorer:
    """Scores by a trained model: user_vector . item_vectors' + item_biases."""

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    @property
    def item_keys(self) -> np.ndarray:
        """``(V,) uint64``, sorted ascending."""
        return self.model.item_keys

    def __call__(self, histories: Histories) -> np.ndarray:
        """Scores ``(B, V) float32``; events on items the model does not know are left out of the history."""
        return user_vectors(self.model, histories) @ self.model.item_vectors.T + self.model.item_biases
