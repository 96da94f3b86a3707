"""A log as a stream of questions: every event asked for with exactly what was known just before it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from services.trainer.model.ages import ages
from services.trainer.model.answering.answers import Cases
from services.trainer.model.answering.evaluation import CaseOptions
from services.trainer.model.answering.scoring import Histories
from services.trainer.model.answering.timeline import Timeline, moments_of, spread
from services.trainer.model.sequences import has_type
from shared.domain.events.event_columns import EventColumns


class Stream:
    """Events after a warm-up as questions. Rows of one event are asked for at once: none is history of another.

    Attributes:
        warm_up: the rows before the first question.
        end: how many rows there are.
        catalogue: ``(C,) uint64``, sorted ascending: all items that occur.
        asked: ``(Q,) int64``, ascending: the rows that are asked for, targets that their user has not seen.
    """

    def __init__(
        self,
        columns: EventColumns,
        warm_up_events: int,
        options: CaseOptions,
        askable: np.ndarray | None = None,
    ) -> None:
        """warm_up_events: rows before the first question; a last event's rows stay together. askable: ``(N,) bool``,
        rows that may be asked for; the others are facts all the same. None for all."""
        self._columns, self._length = columns, options.history_length
        self._moments = moments_of(columns.position)
        roles = options.roles
        self._history = self._timeline(columns.user_key, roles.history)
        self._seen = self._timeline(columns.user_key, roles.seen)
        self._targets = self._timeline(columns.item_key, roles.target)
        self._begin = self._event_start(warm_up_events)
        self.end = len(columns)
        self.warm_up = columns.take(slice(0, self._begin))
        self.catalogue = np.unique(columns.item_key)
        is_target = has_type(columns.event_type, roles.target) & ~self._already_seen(roles.seen)
        is_target[: self._begin] = False
        if askable is not None:
            is_target &= askable
        self.asked = np.flatnonzero(is_target)

    def chunks(self, events: int) -> list[tuple[int, int]]:
        """First and last + 1 row of each stretch of about so many rows after the warm-up; no event is cut."""
        cuts = [self._event_start(row) for row in range(self._begin, len(self._columns), events)]
        cuts = sorted({self._begin, *cuts, len(self._columns)})
        return list(pairwise(cuts))

    def rows(self, first: int, last: int) -> EventColumns:
        """The events of a stretch."""
        return self._columns.take(slice(first, last))

    def questions(self, first: int, last: int) -> np.ndarray:
        """The asked rows of a stretch, ``(B,) int64``."""
        return self.asked[np.searchsorted(self.asked, first) : np.searchsorted(self.asked, last)]

    def cases(self, asked: np.ndarray) -> Cases:
        """Questions with live histories.

        Args:
            asked: ``(B,) int64``, rows.
        """
        columns, users = self._columns, self._columns.user_key[asked]
        index, offsets = spread(*self._seen.before(users, self._moments[asked]))
        seen = columns.item_key[self._seen.rows[index]]
        histories = self._histories(asked, self._moments[asked])
        return Cases(users, histories, columns.item_key[asked], seen, offsets, self.catalogue)

    def stale_histories(self, asked: np.ndarray) -> Histories:
        """The asked users' histories as they were when the warm-up ended, of today's age."""
        end = self._moments[self._begin] if self._begin < len(self._moments) else len(self._moments)
        return self._histories(asked, np.full(len(asked), end))

    def history_lengths(self, asked: np.ndarray) -> np.ndarray:
        """``(B,) int64``: events in the user's history before each question, not cut to what is served."""
        return self._history.counts_before(self._columns.user_key[asked], self._moments[asked])

    def item_ages(self, asked: np.ndarray) -> np.ndarray:
        """``(B,) int64``: target events of the asked item, by anyone, before each question."""
        return self._targets.counts_before(self._columns.item_key[asked], self._moments[asked])

    def users(self, asked: np.ndarray) -> np.ndarray:
        """``(B,) uint64``: who is asked."""
        return self._columns.user_key[asked]

    def _timeline(self, keys: np.ndarray, types: frozenset[int] | None) -> Timeline:
        rows = np.flatnonzero(has_type(self._columns.event_type, types))
        return Timeline(keys, self._moments, rows)

    def _event_start(self, row: int) -> int:
        """The first row of the event that ``row`` belongs to."""
        if row >= len(self._moments):
            return len(self._moments)
        return int(np.searchsorted(self._moments, self._moments[row]))

    def _already_seen(self, types: frozenset[int] | None) -> np.ndarray:
        """``(N,) bool``: whether the row's user has seen the row's item in an earlier event."""
        pairs = self._columns.pairs()
        return self._timeline(pairs, types).counts_before(pairs, self._moments) > 0

    def _histories(self, asked: np.ndarray, moments: np.ndarray) -> Histories:
        """The newest events before a moment ``(B,)``."""
        columns = self._columns
        start, end = self._history.before(columns.user_key[asked], moments)
        place = end[:, None] - self._length + np.arange(self._length)  # (B, T)
        mask = place >= start[:, None]
        if not len(self._history.rows):
            return Histories(
                *(np.zeros(mask.shape, kind) for kind in (np.uint64, np.int64, np.float32, bool))
            )
        row = self._history.rows[np.where(mask, place, 0)]
        return Histories(
            np.where(mask, columns.item_key[row], np.uint64(0)),
            np.where(mask, columns.event_type[row], 0),
            ages(columns.time_ms[row], mask),
            mask,
        )
