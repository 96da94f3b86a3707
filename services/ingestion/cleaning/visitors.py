"""What ingestion remembers of users while they are active, for the steps that look at more than one event."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from freshet.event.v1.event_pb2 import UserEvent
from shared.domain.flood import TokenBucket
from shared.domain.visits import Visit

MOST_VISITORS = 200_000
"""Users remembered, about 100 MB; of the others nothing is lost but what they did in the last half hour."""


class SeenEvent(NamedTuple):
    """An event that may have to be taken back. time_ns: its event time; items: a serialised event that holds them."""

    event_id: str
    event_type: str
    user_id: str
    time_ns: int
    items: bytes

    @classmethod
    def of(cls, event: UserEvent, time_ns: int) -> SeenEvent:
        """What has to be kept of an event."""
        items = UserEvent(items=event.items).SerializeToString()
        return cls(event.event_id, event.event_type, event.user_id, time_ns, items)


class Visitor:
    """One user. visit: the newest one; timed: the newest event with a time of its sender's; suspects: the newest events
    since the user came near the limit; quarantined_until: by the clock, in seconds."""

    __slots__ = ("bucket", "quarantined_until", "suspects", "timed", "visit")

    def __init__(self) -> None:
        self.visit: Visit | None = None
        self.timed: SeenEvent | None = None
        self.bucket: TokenBucket | None = None
        self.suspects: deque[SeenEvent] | None = None
        self.quarantined_until = 0.0


class Visitors:
    """The least recently active are forgotten first."""

    def __init__(self, most: int = MOST_VISITORS) -> None:
        self._most = most
        self._visitors: OrderedDict[int, Visitor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visitors)

    def unknown(self, user_keys: Iterable[int]) -> list[int]:
        """Those of the keys that are not remembered, each once."""
        return [key for key in dict.fromkeys(user_keys) if key not in self._visitors]

    def of(self, user_key: int) -> Visitor:
        """The visitor, a new one if need be."""
        visitor = self._visitors.get(user_key)
        if visitor is None:
            visitor = self._visitors[user_key] = Visitor()
            if len(self._visitors) > self._most:
                self._visitors.popitem(last=False)
        else:
            self._visitors.move_to_end(user_key)
        return visitor

    def forget(self, user_key: int) -> None:
        """Forget one."""
        self._visitors.pop(user_key, None)
