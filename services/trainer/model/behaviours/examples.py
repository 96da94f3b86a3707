"""Examples of behaviours from the log: who was shown what, and what came of it.

Decision: an example is one showing, and a behaviour belongs to the last showing of its item to its user before it, if
that is at most a window ago (last touch). So a probability is that of *this* showing leading to the behaviour, which is
what a caller decides about, and an item shown three times before it is bought is not three purchases.

Decision: what counts as a showing is the first of these that the log holds enough of, one for the whole log, so that a
probability has one meaning: impressions; views; nothing at all (see `sampling`). Mixed, a view that follows an
impression would be an example whose click is already known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from services.trainer.model.sequences import has_type
from shared.domain.events.event import EventType
from shared.domain.events.event_columns import EventColumns
from shared.domain.presets.behaviours import SHOWN, VIEWED

WINDOW_SECONDS = 86_400.0
"""How long after a showing a behaviour still comes of it."""
LEAST_SHOWINGS = 500
"""Fewer showings of one kind teach nothing."""
SETTLED_SHARE = 0.99
"""A showing so old that this share of behaviours would have come by now is known to have led to nothing."""
SHOWINGS = {
    SHOWN: frozenset({int(EventType.VIEW_ITEM_LIST), int(EventType.AD_IMPRESSION)}),
    VIEWED: frozenset({int(EventType.VIEW_ITEM)}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """N questions "will this user do that with this item?" with their answers, in log order.

    Attributes:
        user_key: ``(N,) uint64``.
        item_key: ``(N,) uint64``.
        position: ``(N,) int64``; what is known of the user is what lies before it in the log.
        time_ms: ``(N,) int64``, when the question is asked.
        labels: ``(N, O) bool``, whether each behaviour came of it.
        asked: ``(N, O) bool``, whether the label says something: the window is over, the row is about this behaviour.
        sampling_rate: share of the rows without a label that are among the examples, in (0, 1].
        given: see `shared.domain.presets.behaviours.Behaviours`.
    """

    user_key: np.ndarray
    item_key: np.ndarray
    position: np.ndarray
    time_ms: np.ndarray
    labels: np.ndarray
    asked: np.ndarray
    sampling_rate: float
    given: str

    def __len__(self) -> int:
        return len(self.position)

    @property
    def weights(self) -> np.ndarray:
        """``(N, O) float64``: how many rows each stands for; 0 where it is not asked."""
        return np.where(self.labels, 1.0, 1.0 / self.sampling_rate) * self.asked

    def take(self, rows: np.ndarray) -> Examples:
        """The selected rows: a mask ``(N,)`` or ascending places."""
        columns = ("user_key", "item_key", "position", "time_ms", "labels", "asked")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def about(self, objectives: list[int]) -> Examples:
        """The same rows with some of the objectives."""
        return replace(self, labels=self.labels[:, objectives], asked=self.asked[:, objectives])


def with_exposures(columns: EventColumns, exposed: EventColumns) -> EventColumns:
    """A stretch of the log with the exposures in it of users whose senders report no impressions: one that is reported
    is what was seen, while an exposure is what was served, down to a place that nobody may have looked at."""
    if not len(columns):
        return columns
    reported = columns.user_key[has_type(columns.event_type, SHOWINGS[SHOWN])]
    within = (exposed.position >= columns.position[0]) & (exposed.position <= columns.position[-1] + 1)
    added = exposed.take(within & ~np.isin(exposed.user_key, reported))
    order = np.argsort(np.append(added.position, columns.position), kind="stable")
    merged = {
        each.name: np.append(getattr(added, each.name), getattr(columns, each.name))[order]
        for each in fields(EventColumns)
    }
    return EventColumns(**merged)


def given_of(columns: EventColumns) -> str:
    """Which kind of showing the log holds enough of; empty for none."""
    enough = (
        given
        for given, types in SHOWINGS.items()
        if has_type(columns.event_type, types).sum() >= LEAST_SHOWINGS
    )
    return next(enough, "")


def shown_examples(columns: EventColumns, labels_of: list[frozenset[int]], given: str) -> Examples:
    """An example of each showing in ``columns``.

    Args:
        columns: a stretch of the log; behaviours of showings before it count for none in it.
        labels_of: for each of O objectives the codes of its event types.
        given: SHOWN or VIEWED.
    """
    pair, span = columns.pairs(), int(columns.position.max(initial=0)) + 1
    place = pair * span + columns.position
    rows = np.flatnonzero(has_type(columns.event_type, SHOWINGS[given]))
    rows = rows[np.unique(place[rows], return_index=True)[1]]  # by pair, then in log order
    labels, asked = np.zeros((2, len(rows), len(labels_of)), bool)
    for number, types in enumerate(labels_of):
        labelled = has_type(columns.event_type, types)
        labels[:, number], asked[:, number] = _outcomes(columns, place, rows, np.flatnonzero(labelled))
    order = np.argsort(rows)
    rows = rows[order]
    return Examples(
        columns.user_key[rows],
        columns.item_key[rows],
        columns.position[rows],
        columns.time_ms[rows],
        labels[order],
        asked[order],
        1.0,
        given,
    )


def _outcomes(
    columns: EventColumns, place: np.ndarray, shown: np.ndarray, labelled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each showing led to the behaviour, and whether that is known by the end of the log, ``(N,) bool`` both.

    place: ``(R,)``, of each row by pair and position. shown: ``(N,)``, rows by place. labelled: rows of the behaviour.
    """
    label = np.zeros(len(shown), bool)
    if not len(shown):
        return label, label
    span = int(columns.position.max()) + 1
    before = np.searchsorted(place[shown], place[labelled], side="right") - 1
    delay_ms = columns.time_ms[labelled] - columns.time_ms[shown[before]]
    touched = (before >= 0) & (place[shown[before]] // span == place[labelled] // span)
    touched &= delay_ms <= WINDOW_SECONDS * 1000
    label[before[touched]] = True
    settled_ms = np.quantile(delay_ms[touched], SETTLED_SHARE) if touched.any() else 0.0
    return label, columns.time_ms[shown] + settled_ms <= columns.time_ms.max()
