"""Events as the folds see them: numbers only. Strings stay at the edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum


class EventType(IntEnum):
    """The event vocabulary. Codes are stored in states and bundles: append, never renumber. 0 is padding."""

    VIEW_ITEM_LIST = 1
    VIEW_ITEM = 2
    CLICK = 3
    LIKE = 4
    DISLIKE = 5
    RATE = 6
    SHARE = 7
    FOLLOW = 8
    ADD_TO_CART = 9
    REMOVE_FROM_CART = 10
    PURCHASE = 11
    REFUND = 12
    MEDIA_PLAY = 13
    MEDIA_COMPLETE = 14
    SKIP = 15
    SEARCH = 16
    AD_IMPRESSION = 17
    AD_CLICK = 18
    ANSWER = 19
    COMPLETE = 20
    CONVERSION = 21
    UNLIKE = 22
    REVERSAL = 23

    @property
    def word(self) -> str:
        """The type as senders write it, for example "add-to-cart"."""
        return self.name.lower().replace("_", "-")


EVENT_TYPE_BY_WORD: dict[str, EventType] = {event_type.word: event_type for event_type in EventType}
EVENT_CODE_BY_WORD: dict[str, int] = {word: int(each) for word, each in EVENT_TYPE_BY_WORD.items()}
EVENT_TYPE_CODES = max(EventType) + 1
"""Length of an array that is indexed by event type code."""

ITEMLESS_EVENT_TYPES = frozenset(
    {EventType.SEARCH, EventType.CONVERSION, EventType.ANSWER, EventType.COMPLETE, EventType.REVERSAL}
)
"""Types that may come without items."""

CORRECTS = {
    EventType.REFUND: EventType.PURCHASE,
    EventType.UNLIKE: EventType.LIKE,
    EventType.REMOVE_FROM_CART: EventType.ADD_TO_CART,
}
"""Types that take back the newest event of another type about the same item. A reversal names its event instead."""


@dataclass(frozen=True, slots=True)
class ItemReference:
    """One item of an event: its key, how many, and the value (nan when absent)."""

    item_key: int
    quantity: int = 1
    value: float = math.nan


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted fact.

    position: sequence in the log, from 1. event_key, user_key: xxh3_64 of the ids. time_ms: event time in
    milliseconds since 1970; it is data, order is the position. session_key: xxh3_64 of the session id, 0 for none.
    corrected_type, corrected_time_ms: of the event that a reversal takes back; 0 for other types.
    """

    position: int
    event_key: int
    user_key: int
    event_type: EventType
    time_ms: int
    items: tuple[ItemReference, ...] = ()
    session_key: int = 0
    corrected_type: int = 0
    corrected_time_ms: int = 0
