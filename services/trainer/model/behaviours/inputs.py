"""What the head sees of each example: the vectors and scores that serving would have had just before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.trainer.model.answering.scoring import Histories, user_vectors
from services.trainer.model.behaviours.examples import Examples
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.model.mixing.rules import firing_rows
from services.trainer.model.sequences import EventRoles, has_type
from shared.domain.events.event_columns import EventColumns

_BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The ranker's inputs for N pairs of H histories and V items.

    Attributes:
        user_vectors: ``(H, D) float32``.
        item_vectors: ``(V, D) float32``.
        item_biases: ``(V,) float32``.
        history: ``(N,) int64``, row of ``user_vectors``.
        item: ``(N,) int64``, row of ``item_vectors``.
        rule_score: ``(N,) float32``.
    """

    user_vectors: np.ndarray
    item_vectors: np.ndarray
    item_biases: np.ndarray
    history: np.ndarray
    item: np.ndarray
    rule_score: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    def take(self, chosen: np.ndarray) -> Inputs:
        """The selected pairs."""
        pairs = ("history", "item", "rule_score")
        return replace(self, **{name: getattr(self, name)[chosen] for name in pairs})

    def rows(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of pairs (n,): user vectors (n, D), item vectors (n, 1, D), biases (n, 1), rule scores (n, 1)."""
        item = self.item[chosen]
        return (
            self.user_vectors[self.history[chosen]],
            self.item_vectors[item][:, None],
            self.item_biases[item][:, None],
            self.rule_score[chosen][:, None],
        )


def inputs_of(
    examples: Examples, columns: EventColumns, mixed: MixedModel, roles: EventRoles, length: int
) -> Inputs:
    """Inputs as of just before each example.

    Args:
        examples: on items that the model knows.
        columns: the log from its beginning.
        mixed: the model, which is left as it is.
        roles: ``history`` says which events are read.
        length: newest events of a history, as in serving.
    """
    model = mixed.model
    moment = np.empty(len(examples), [("user", np.uint64), ("position", np.int64)])
    moment["user"], moment["position"] = examples.user_key, examples.position
    _, first, history = np.unique(moment, return_index=True, return_inverse=True)
    histories = histories_before(columns, examples.take(first), roles, length)
    item = np.searchsorted(model.item_keys, examples.item_key)
    vectors, rules = user_vectors(model, histories), _rule_scores(mixed, histories, history, item)
    return Inputs(vectors, model.item_vectors, model.item_biases, history, item, rules)


def histories_before(columns: EventColumns, asked: Examples, roles: EventRoles, length: int) -> Histories:
    """``(N, length)``: the newest events of each example's user before its position in the log."""
    read = columns.take(has_type(columns.event_type, roles.history))
    users, user = np.unique(read.user_key, return_inverse=True)
    order = np.argsort(user, kind="stable")
    span = int(max(columns.position.max(initial=0), asked.position.max(initial=0))) + 1
    place = user[order] * span + read.position[order]
    who = np.searchsorted(users, asked.user_key)
    known = np.isin(asked.user_key, users)
    end = np.where(known, np.searchsorted(place, who * span + asked.position), 0)
    start = np.where(known, np.searchsorted(place, who * span), 0)
    ordered = tuple(column[order] for column in (read.item_key, read.event_type, read.time_ms))
    return Histories.of_spans(ordered, np.stack([start, end], axis=1), length)


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, max(rows, 1), _BATCH)]


def _rule_scores(
    mixed: MixedModel, histories: Histories, history: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """``(N,) float32``; pairs of one history are asked together."""
    scores = np.zeros(len(item), np.float32)
    types = frozenset(mixed.mixture.event_types)
    fired = firing_rows(histories, mixed.model.item_keys, types)
    order = np.argsort(history, kind="stable")
    owner = history[order]
    for part in _parts(len(fired)):
        first, last = np.searchsorted(owner, [part.start, part.stop])
        rows = order[first:last]
        own = owner[first:last] - part.start
        scores[rows] = mixed.mixture.pair_gains(mixed.experts, fired[part], own, item[rows])
    return scores
