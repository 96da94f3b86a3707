"""Ids of events that the log took of late, whoever wrote them."""

from __future__ import annotations

from collections import OrderedDict

RECENT_EVENTS = 200_000
"""Ids that are kept in any case."""
MOST_EVENTS = 1_000_000
"""Ids that are kept while the archive does not hold them yet, about 150 MB."""


class RecentIds(OrderedDict[str, int]):
    """Where each id lies first, by id. Ids beyond RECENT_EVENTS are forgotten once the archive has them, the oldest
    first."""

    def __init__(self, recent: int = RECENT_EVENTS, most: int = MOST_EVENTS) -> None:
        super().__init__()
        self._recent, self._most = recent, most
        self.archived_position = 0

    @property
    def full(self) -> bool:
        """Whether it holds more than it keeps in any case."""
        return len(self) > self._recent

    def remember(self, event_id: str, position: int) -> bool:
        """Note that an id lies at a position; whether it is known to lie at another one, too."""
        known = self.setdefault(event_id, position)
        if position < known:
            self[event_id] = position
        if self.full:
            self._forget_oldest()
        return position != known

    def forget(self, first: int, last: int) -> None:
        """Forget the ids at positions from `first` to `last`."""
        for event_id in [each for each, position in self.items() if first <= position <= last]:
            del self[event_id]

    def _forget_oldest(self) -> None:
        """Two at most for each one that comes, so that what gathered goes again bit by bit."""
        for _ in range(min(2, len(self) - self._recent)):
            event_id, position = next(iter(self.items()))
            if position > self.archived_position and len(self) <= self._most:
                return
            del self[event_id]
