"""What learns from events as they arrive, and answers with what it has learned so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from services.trainer.model.answering.scoring import Scorer
from services.trainer.model.mixing.baselines import Popularity
from services.trainer.model.mixing.ease import EXACT_UP_TO, ease_every, learn_ease
from services.trainer.model.mixing.rules import RuleScorer, learn_rules, rules_every
from services.trainer.model.sequences import EventRoles, has_type
from shared.domain.events.event_columns import EventColumns


class Learner(Protocol):
    """Learns events in log order, a few hundred at a time: what costs more than a fold waits until enough have come.

    Its state may change in place: what is frozen is a deep copy of its scorer.
    """

    def learn(self, columns: EventColumns) -> None:
        """Learns newly arrived events, later in the log than all before them."""

    def scorer(self) -> Scorer:
        """Scores by all that has been learned; used only until the next `learn`."""


class Unchanging:
    """Something that learns no more, such as a registered model, where learners are judged."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def learn(self, columns: EventColumns) -> None:
        """Learns nothing."""

    def scorer(self) -> Scorer:
        """Always the same."""
        return self._scorer


class PopularityLearner:
    """Counts target events per item, the older ones less; one addition per event."""

    def __init__(self, roles: EventRoles, half_life_seconds: float = np.inf) -> None:
        """half_life_seconds: after which an event counts half; infinite for plain counts."""
        self._roles, self._half_life_ms = roles, 1000.0 * half_life_seconds
        self._item_keys, self._counts = np.empty(0, np.uint64), np.empty(0)
        self._newest_ms = 0

    def learn(self, columns: EventColumns) -> None:
        """Adds the events' weights."""
        if not len(columns):
            return
        self._grow(columns.item_key)
        newest = max(self._newest_ms, int(columns.time_ms.max()))
        self._counts *= np.exp2((self._newest_ms - newest) / self._half_life_ms)
        weights = np.exp2((columns.time_ms - newest) / self._half_life_ms)
        weights *= has_type(columns.event_type, self._roles.target)
        item = np.searchsorted(self._item_keys, columns.item_key)
        self._counts += np.bincount(item, weights, minlength=len(self._item_keys))
        self._newest_ms = newest

    def scorer(self) -> Scorer:
        """The counts as they are now."""
        return Popularity(self._item_keys, self._counts)

    def _grow(self, item_key: np.ndarray) -> None:
        grown = np.union1d(self._item_keys, item_key)
        if len(grown) == len(self._item_keys):
            return
        counts = np.zeros(len(grown))
        counts[np.searchsorted(grown, self._item_keys)] = self._counts
        self._item_keys, self._counts = grown, counts


class Gathered:
    """All events so far, in one piece whenever they are wanted. count: how many; pending: how many of them came since
    `lesson` was called."""

    def __init__(self) -> None:
        self._parts: list[EventColumns] = []
        self.count = self.pending = 0

    def add(self, columns: EventColumns) -> None:
        """These came next."""
        self._parts.append(columns)
        self.count += len(columns)
        self.pending += len(columns)

    def all(self) -> EventColumns:
        """All of them, in log order."""
        self._parts = [EventColumns.concatenate(self._parts)]
        return self._parts[0]

    def lesson(self) -> EventColumns:
        """All of them, to be learned: none is pending then."""
        self.pending = 0
        return self.all()


class Recounted:
    """What is counted anew from all events whenever enough have come. every: how many that are, of so many events and
    items that were counted last. at_latest: so many are enough of no more items than are counted quickly, whatever
    `every` says; None for what it says."""

    def __init__(self, count: Callable[[EventColumns], Scorer], every: Callable[[int, int], int]) -> None:
        self._count, self._every = count, every
        self._events = Gathered()
        self._scorer: Scorer | None = None
        self.at_latest: int | None = None

    def learn(self, columns: EventColumns) -> None:
        """Counts, or keeps the events until there are enough."""
        self._events.add(columns)
        if self._scorer is None or self._is_due(len(self._scorer.item_keys)):
            self._scorer = self._count(self._events.lesson())

    def _is_due(self, items: int) -> bool:
        pending = self._events.pending
        enough = self._every(self._events.count - pending, items)
        if self.at_latest is not None and items <= EXACT_UP_TO:
            enough = min(enough, self.at_latest)
        return pending >= enough

    def scorer(self) -> Scorer:
        """As it was counted last."""
        assert self._scorer is not None, "a scorer is asked for after the first events"
        return self._scorer


def _rules(roles: EventRoles) -> Recounted:
    def count(columns: EventColumns) -> Scorer:
        item_keys = np.unique(columns.item_key)
        return RuleScorer(item_keys, learn_rules(columns, item_keys, roles), roles)

    return Recounted(count, lambda events, _: rules_every(events))


_WEEK_SECONDS = 7 * 86_400.0

BASELINES: dict[str, Callable[[EventRoles], Learner]] = {
    "popular": PopularityLearner,
    "recently-popular": lambda roles: PopularityLearner(roles, _WEEK_SECONDS),
    "rules": _rules,
    "ease": lambda roles: Recounted(
        lambda columns: learn_ease(columns, roles), lambda _, items: max(5_000, ease_every(items))
    ),
}
"""What every model is compared with, by name: a learner for the roles of events. A new one is one line here."""
