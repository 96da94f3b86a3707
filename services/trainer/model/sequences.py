"""Columnar events to training sequences, and sequences to batches of about equal token count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from services.trainer.model.ages import ages
from shared.domain.events.event_columns import EventColumns


@dataclass(frozen=True, slots=True, eq=False)
class UserSequences:
    """Every user's events in log order, one user after the other (compressed rows).

    Attributes:
        user_keys: ``(U,) uint64``, ascending.
        offsets: ``(U + 1,) int64``; user u owns rows ``offsets[u]:offsets[u + 1]``.
        item_keys: ``(N,) uint64``.
        event_type: ``(N,) int64``.
        time_ms: ``(N,) int64``.
        position: ``(N,) int64``, of the log.
    """

    user_keys: np.ndarray
    offsets: np.ndarray
    item_keys: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.user_keys)

    @property
    def lengths(self) -> np.ndarray:
        """``(U,) int64``: events per user."""
        return np.diff(self.offsets)


def by_user(columns: EventColumns) -> UserSequences:
    """Groups rows by user; within a user, log order is kept."""
    order = np.argsort(columns.user_key, kind="stable")
    user_keys, starts = np.unique(columns.user_key[order], return_index=True)
    offsets = np.append(starts, len(order)).astype(np.int64)
    moved = ("item_key", "event_type", "time_ms", "position")
    return UserSequences(user_keys, offsets, *(getattr(columns, name)[order] for name in moved))


@dataclass(frozen=True, slots=True)
class EventRoles:
    """Which event types play which part, as sets of codes; None means every type.

    Attributes:
        history: types that enter a history, the encoder's input.
        target: types worth predicting; only those that also enter the history are learned.
        seen: types after which an item is not recommended to that user again. An event is a target only while
            its item is unseen, so training and judging ask what serving is asked.
        weights: how much an event of each code says about liking its item: a target counts with the size of its
            weight, an event of a weight below 0 says no to its item. None: every target counts 1, nothing says no.
    """

    history: frozenset[int] | None = None
    target: frozenset[int] | None = None
    seen: frozenset[int] | None = None
    weights: tuple[float, ...] | None = None

    def weight_of(self, event_type: np.ndarray) -> np.ndarray:
        """``(N,) float32``: the weight of each event's type; 0 for codes past the end."""
        if self.weights is None:
            return np.ones(len(event_type), np.float32)
        padded = np.append(np.asarray(self.weights, np.float32), np.float32(0))
        return padded[np.minimum(event_type, len(self.weights))]


def has_type(event_type: np.ndarray, types: frozenset[int] | None) -> np.ndarray:
    """Bool of the same shape: whether each event is of one of the types; None means every type."""
    if types is None:
        return np.ones(event_type.shape, bool)
    return np.isin(event_type, np.fromiter(types, np.int64, len(types)))


def occurs(keys: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Bool of the shape of ``keys``: whether each is one of ``ascending (V,)``.

    `np.isin` sorts or hashes what it looks in every time: a tenth of a step of training.
    """
    if not len(ascending):
        return np.zeros(keys.shape, bool)
    place = np.searchsorted(ascending, keys)
    return ascending[np.minimum(place, len(ascending) - 1)] == keys


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """The events training reads, grouped by user, with items as indices of the vocabulary.

    Attributes:
        offsets: ``(U + 1,) int64``; user u owns rows ``offsets[u]:offsets[u + 1]``.
        item: ``(N,) int64``, index in the vocabulary.
        event_type: ``(N,) int64``.
        time_ms: ``(N,) int64``.
        is_target: ``(N,) bool``, whether the event is one to be predicted.
        label_weight: ``(N,) float32``, above 0 for targets, below 0 for events that say no to their item, else 0.
        position: ``(N,) int64``, of the log.
    """

    offsets: np.ndarray
    item: np.ndarray
    event_type: np.ndarray
    time_ms: np.ndarray
    is_target: np.ndarray
    label_weight: np.ndarray
    position: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def lengths(self) -> np.ndarray:
        """``(U,) int64``: events per user."""
        return np.diff(self.offsets)


def training_rows(columns: EventColumns, vocabulary: np.ndarray, roles: EventRoles) -> TrainingRows:
    """Rows of history events on known items, grouped by user.

    Args:
        columns: events in log order.
        vocabulary: ``(V,) uint64``, sorted ascending; rows of other items are left out.
        roles: which events are read and which are predicted.
    """
    known = np.isin(columns.item_key, vocabulary) & has_type(columns.event_type, roles.history)
    users = by_user(columns.take(known))
    weight = roles.weight_of(users.event_type)
    is_target = has_type(users.event_type, roles.target) & (weight > 0) & ~_already_seen(users, roles)
    item = np.searchsorted(vocabulary, users.item_keys)
    label_weight = np.where(is_target, weight, np.minimum(weight, 0))
    about = (users.event_type, users.time_ms, is_target, label_weight, users.position)
    return TrainingRows(users.offsets, item, *about)


def _already_seen(users: UserSequences, roles: EventRoles) -> np.ndarray:
    """``(N,) bool``: whether the user has seen the row's item before that row."""
    owner = np.repeat(np.arange(len(users)), users.lengths)
    order = np.lexsort((users.item_keys, owner))  # stable: log order within a (user, item) pair
    owner, item = owner[order], users.item_keys[order]
    sees = has_type(users.event_type[order], roles.seen)
    before = np.cumsum(sees) - sees
    starts = np.append(True, (np.diff(owner) != 0) | (item[1:] != item[:-1]))[: len(order)]
    group = np.cumsum(starts) - 1
    seen = np.empty(len(order), bool)
    seen[order] = before > before[starts][group]
    return seen


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Right-aligned windows of about equal length.

    Attributes:
        item: ``(B, T) int64``, vocabulary index; 0 under the mask.
        event_type: ``(B, T) int64``; 0 under the mask.
        age_seconds: ``(B, T) float32``, as of `ages`.
        mask: ``(B, T) bool``.
        target: ``(B, T) int64``, vocabulary index of the event that followed; -1 where it teaches nothing.
        label_weight: ``(B, T) float32``, of that event: below 0 where it says no; 0 where it teaches nothing.
        first_item: ``(B,) int64``, the item of a user's very first event; -1 for windows that start
            later, or where that event is no target.
        first_weight: ``(B,) float32``, of that event; 0 where there is none.
    """

    item: np.ndarray
    event_type: np.ndarray
    age_seconds: np.ndarray
    mask: np.ndarray
    target: np.ndarray
    label_weight: np.ndarray
    first_item: np.ndarray
    first_weight: np.ndarray


def windows(rows: TrainingRows, length: int, generator: np.random.Generator) -> np.ndarray:
    """Cuts each user's events into windows that meet at random places, new ones for every call.

    Args:
        rows: events grouped by user.
        length: inputs per window, >= 1; the event after a window is its last target.
        generator: draws where the first window of each user ends.

    Returns:
        ``(W, 2) int64``: start and end row of each window's inputs; every row is an input of exactly one
        window, except each user's last, which is only a target. A user whose only event is a target has an empty
        window: nothing was known before it.
    """
    sizes = rows.lengths - 1
    shift = generator.integers(0, length, len(sizes)) * (sizes > length)
    pieces = np.maximum((sizes + shift + length - 1) // length, rows.is_target[rows.offsets[:-1]])
    user = np.repeat(np.arange(len(sizes)), pieces)
    rank = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = np.maximum(rank * length - shift[user], 0)
    end = np.minimum((rank + 1) * length - shift[user], sizes[user])
    return np.stack([start, end], axis=1) + rows.offsets[user][:, None]


@dataclass(frozen=True, slots=True)
class Passing:
    """How events are gone through once.

    Attributes:
        length: longest window T.
        tokens: B x T of a batch, at most (a single window may be longer).
        learned_to: position of the log that was learned before; 0 for nothing. Windows with later targets are gone
            through, and ``replay`` times as many others, drawn anew for every pass, so that what only they teach is
            not forgotten (experience replay: Rolnick et al. 2019, https://arxiv.org/abs/1811.11682).
        replay: >= 0.
    """

    length: int
    tokens: int
    learned_to: int = 0
    replay: float = 1.0


def token_batches(rows: TrainingRows, way: Passing, generator: np.random.Generator) -> Iterator[TokenBatch]:
    """One pass in batches of about equal numbers of events; windows of like length share a batch.

    Args:
        rows: events grouped by user.
        way: what is gone through, and in which portions.
        generator: shuffles windows and batches.
    """
    spans = generator.permutation(_spans(rows, way, generator))
    spans = spans[np.argsort(_lengths(spans), kind="stable")]
    groups = groups_of(_lengths(spans), way.tokens)
    for index in generator.permutation(len(groups)):
        first, last = groups[index]
        yield _batch(rows, spans[first:last])


def count_batches(rows: TrainingRows, way: Passing, generator: np.random.Generator) -> int:
    """How many batches `token_batches` gives for the same arguments, for much less."""
    return len(groups_of(np.sort(_lengths(_spans(rows, way, generator))), way.tokens))


def _spans(rows: TrainingRows, way: Passing, generator: np.random.Generator) -> np.ndarray:
    """``(W, 2) int64``: the windows of one pass."""
    spans = windows(rows, way.length, generator)
    new = rows.position[spans[:, 1]] > way.learned_to  # a window's last target is its newest
    old = np.flatnonzero(~new)
    drawn = min(len(old), round(way.replay * new.sum()))
    return np.concatenate([spans[new], spans[generator.choice(old, drawn, replace=False)]])


def _lengths(spans: np.ndarray) -> np.ndarray:
    """``(W,) int64``: places of each window; an empty one takes one, too."""
    return np.maximum(spans[:, 1] - spans[:, 0], 1)


def groups_of(lengths: np.ndarray, tokens: int) -> list[tuple[int, int]]:
    """Consecutive runs of ascending ``lengths (W,) int64``, each >= 1, each run as long as its padded size stays within
    ``tokens``: first and last + 1."""
    values, starts = np.unique(lengths, return_index=True)
    ends = [0]
    for length, start, end in zip(
        values.tolist(), starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=False
    ):
        room = max(1, tokens // length)
        while ends[-1] + room < end:
            ends.append(max(ends[-1] + room, start))
    return list(pairwise([*ends, len(lengths)])) if len(lengths) else []


def _batch(rows: TrainingRows, spans: np.ndarray) -> TokenBatch:
    width = int(_lengths(spans).max())
    row = spans[:, 1:] - width + np.arange(width)  # (B, T), right-aligned
    mask = row >= spans[:, :1]
    row = np.where(mask, row, spans[:, :1])
    is_first = occurs(spans[:, 0], rows.offsets)  # no window begins behind the last row
    is_first &= rows.is_target[spans[:, 0]]
    following = np.where(mask, row + 1, row)
    label_weight = np.where(mask, rows.label_weight[following], np.float32(0))
    return TokenBatch(
        item=np.where(mask, rows.item[row], 0),
        event_type=np.where(mask, rows.event_type[row], 0),
        age_seconds=ages(rows.time_ms[row], mask),
        mask=mask,
        target=np.where(label_weight != 0, rows.item[following], -1),
        label_weight=label_weight,
        first_item=np.where(is_first, rows.item[spans[:, 0]], -1),
        first_weight=np.where(is_first, rows.label_weight[spans[:, 0]], np.float32(0)),
    )
