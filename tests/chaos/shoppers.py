"""Random behaviour of few users: all types, several items and visits, corrections, and clocks that go back."""

from __future__ import annotations

import time
from collections import defaultdict
from random import Random

from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.domain.events.event import CORRECTS, EventType

USERS, ITEMS, VISITS = 30, 60, 4
ABOUT_ITEMS = [
    each.word
    for each in EventType
    if each not in CORRECTS and each not in (EventType.REVERSAL, EventType.SEARCH)
]
CORRECTION_OF = {corrected.word: correction.word for correction, corrected in CORRECTS.items()}
CORRECTABLE = list(CORRECTION_OF)
BACK_SECONDS = 3 * 86_400.0


def catalogue() -> list[Item]:
    """What is on sale."""
    return [Item(item_id=f"item-{number}", title=f"Item {number}") for number in range(ITEMS)]


def user_ids() -> list[str]:
    """Who shops."""
    return [f"user-{number}" for number in range(USERS)]


class Shoppers:
    """Makes events. Few users, so that each has far more events than its record remembers ids of."""

    def __init__(self, random: Random, prefix: str) -> None:
        self._random, self._prefix = random, prefix
        self._number = 0
        self._correctable: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def events(self, number: int) -> list[UserEvent]:
        """The next events."""
        return [self._event() for _ in range(number)]

    def _event(self) -> UserEvent:
        self._number += 1
        user = self._random.choice(user_ids())
        event = UserEvent(event_id=f"{self._prefix}-{self._number}", user_id=user)
        self._say_what(event)
        if self._random.random() < 0.7:
            event.session_id = f"{user}-visit-{self._random.randrange(VISITS)}"
        if self._random.random() < 0.5:
            seconds_back = self._random.choice([0.0, self._random.uniform(0.0, BACK_SECONDS)])
            event.event_time.FromMilliseconds(int(1000 * (time.time() - seconds_back)))
        return event

    def _say_what(self, event: UserEvent) -> None:
        choice = self._random.random()
        if choice < 0.1 and self._correctable[event.user_id]:
            return self._correct(event)
        if choice < 0.15:
            event.event_type, event.query = EventType.SEARCH.word, "shoes"
            return
        event.event_type = self._random.choice([*ABOUT_ITEMS, *CORRECTABLE, *CORRECTABLE])
        event.items.extend(self._items())
        if event.event_type in CORRECTION_OF:
            self._correctable[event.user_id].append((event.event_type, event.items[0].item_id))

    def _items(self) -> list[EventItem]:
        number = self._random.choice([1, 1, 1, 2, 5])
        chosen = self._random.sample(range(ITEMS), number)
        return [
            EventItem(item_id=f"item-{each}", quantity=1, value=self._random.uniform(1, 5)) for each in chosen
        ]

    def _correct(self, event: UserEvent) -> None:
        corrected, item = self._correctable[event.user_id].pop()
        event.event_type = CORRECTION_OF[corrected]
        event.items.add(item_id=item)
