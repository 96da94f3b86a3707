"""Ids of events that the log took of late, whoever wrote them."""

from __future__ import annotations

from collections import OrderedDict

RECENT_EVENTS = 200_000
"""Ids that are kept in any case."""
MOST_EVENTS = 1_000_000
"""Ids that are kept while the archive does not hold them yet, about 150 MB."""


class RecentIds:
    """Where each id lies first. Ids beyond RECENT_EVENTS are forgotten once the archive has them, the oldest first."""

    def __init__(self, recent: int = RECENT_EVENTS, most: int = MOST_EVENTS) -> None:
        self._recent, self._most = recent, most
        self._positions: OrderedDict[str, int] = OrderedDict()
        self.archived_position = 0

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._positions

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def full(self) -> bool:
        """Whether it holds more than it keeps in any case."""
        return len(self._positions) > self._recent

    def get(self, event_id: str) -> int | None:
        """The first known position of an id; None when it is not known."""
        return self._positions.get(event_id)

    def remember(self, event_id: str, position: int) -> bool:
        """Note that an id lies at a position; whether it is known to lie at another one, too."""
        known = self._positions.setdefault(event_id, position)
        if position < known:
            self._positions[event_id] = position
        if self.full:
            self._forget_oldest()
        return position != known

    def forget(self, first: int, last: int) -> None:
        """Forget the ids at positions from `first` to `last`."""
        for event_id in [each for each, position in self._positions.items() if first <= position <= last]:
            del self._positions[event_id]

    def _forget_oldest(self) -> None:
        """Two at most for each one that comes, so that what gathered goes again bit by bit."""
        for _ in range(min(2, len(self._positions) - self._recent)):
            event_id, position = next(iter(self._positions.items()))
            if position > self.archived_position and len(self._positions) <= self._most:
                return
            del self._positions[event_id]
