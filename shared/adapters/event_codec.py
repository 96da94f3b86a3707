"""From the log's `UserEvent` messages to the folds' events."""

from __future__ import annotations

import math

from google.protobuf.timestamp_pb2 import Timestamp

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.adapters.keys import event_key, item_key, user_key
from shared.domain.event import EVENT_TYPE_BY_WORD, Event, ItemReference

_NAN = math.nan


def decode_event(position: int, message: UserEvent) -> Event:
    """The event at `position`. Raises KeyError for an event type this version does not know."""
    return Event(
        position,
        event_key(message.event_id),
        user_key(message.user_id),
        EVENT_TYPE_BY_WORD[message.event_type],
        time_ms(message),
        tuple([_item(item) for item in message.items]),
        event_key(message.session_id) if message.session_id else 0,
        EVENT_TYPE_BY_WORD[message.corrected_event_type] if message.corrected_event_type else 0,
        milliseconds(message.corrected_event_time),
    )


def time_ms(message: UserEvent) -> int:
    """Event time in milliseconds since 1970."""
    return milliseconds(message.event_time)


def milliseconds(moment: Timestamp) -> int:
    """Milliseconds since 1970, rounded down; 0 for an absent moment."""
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def _item(item: EventItem) -> ItemReference:
    value = item.value if item.HasField("value") else _NAN
    return ItemReference(item_key(item.item_id), item.quantity or 1, value)
