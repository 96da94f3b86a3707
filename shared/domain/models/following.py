"""What each next event teaches sequence rules.

The fold of which `services.trainer.model.mixing.rules` is the batch form.

An event that is worth predicting follows each of the user's newest events, near ones more. One event at a time, so
that rules can learn within seconds; the counts are the same. Pure: no clock, no randomness, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.domain.lru import LeastRecentlyUsed
from shared.domain.models.item_rules import RulePlan


@dataclass(frozen=True, slots=True)
class Roles:
    """Codes of event types: those that enter a history, that are worth predicting, and that make an item seen."""

    history: Collection[int]
    target: Collection[int]
    seen: Collection[int]


class Step(NamedTuple):
    """What one event teaches. followed: items and by how much this one followed them; company: items of the user's
    newest events before it, the newest first."""

    followed: list[tuple[int, float]]
    company: list[int]


NOTHING = Step([], [])


@dataclass(slots=True)
class _Window:
    """newest: items of a user's newest events, the newest last, and whether they fire rules; seen: items that are no
    longer recommended to the user."""

    newest: deque[tuple[int, bool]]
    seen: set[int] = field(default_factory=set)


class Following:
    """Windows of the `users` that were active last; the others are forgotten and must be recalled."""

    def __init__(self, roles: Roles, users: int, plan: RulePlan | None = None) -> None:
        self._roles = roles
        self._plan = plan or RulePlan()
        self._weights = [self._plan.distance_decay**step for step in range(self._plan.window)]
        self._windows: LeastRecentlyUsed[int, _Window] = LeastRecentlyUsed(users)
        self._users = users

    @property
    def full(self) -> bool:
        """Whether there are as many windows as there may be: users may have been let go."""
        return len(self._windows) >= self._users

    def knows(self, user_key: int) -> bool:
        """Whether the user's window is there; if so, it is forgotten last from now on."""
        return self._windows.get(user_key) is not None

    def forget(self, user_key: int) -> None:
        """Begin the user's window anew, with nothing in it and nothing to recall: for an erased user."""
        self._windows.put(user_key, self._empty())

    def follow(self, user_key: int, item_key: int, event_type: int) -> Step:
        """Take in the user's next event."""
        if event_type not in self._roles.history:
            return NOTHING
        window = self._windows.get(user_key)
        if window is None:
            self._windows.put(user_key, window := self._empty())
        target = event_type in self._roles.target
        before = list(reversed(window.newest))
        followed = self._followed(before, item_key) if target and item_key not in window.seen else []
        window.newest.append((item_key, target))
        if event_type in self._roles.seen:
            window.seen.add(item_key)
        return Step(followed, [item for item, _ in before])

    def _followed(self, before: list[tuple[int, bool]], item_key: int) -> list[tuple[int, float]]:
        return [
            (item, weight)
            for (item, fires), weight in zip(before, self._weights, strict=False)
            if fires and item != item_key
        ]

    def _empty(self) -> _Window:
        return _Window(deque(maxlen=self._plan.window))
