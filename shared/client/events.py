"""Building events, and making them safe to retry."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from freshet.event.v1.event_pb2 import EventItem, UserEvent


class EventFields(TypedDict, total=False):
    """What `user_event` takes besides type, user and items; meanings as in `freshet.event.v1.UserEvent`."""

    event_id: str
    session_id: str
    event_time: datetime
    attribution_token: str
    placement: str
    query: str


def user_event(
    event_type: str,
    user_id: str,
    items: Iterable[str | EventItem] = (),
    **fields: Unpack[EventFields],
) -> UserEvent:
    """An event with an id of its own. Items are ids, or `EventItem`s with quantity, value or position.

    `event_time` must know its time zone. Raises ValueError if it does not.
    """
    time = fields.get("event_time")
    if time is not None and time.tzinfo is None:
        raise ValueError(f"event_time needs a time zone, got {time.isoformat()}")
    event = UserEvent(event_type=event_type, user_id=user_id, items=map(_item, items), **fields)
    return with_event_id(event)


def with_event_id(event: UserEvent) -> UserEvent:
    """The same event; one without an id gets one in place: sending the object again is a DUPLICATE."""
    if not event.event_id:
        event.event_id = uuid.uuid4().hex
    return event


def _item(item: str | EventItem) -> EventItem:
    return EventItem(item_id=item) if isinstance(item, str) else item
