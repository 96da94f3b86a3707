"""Building events, and making them safe to retry."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack

from freshet.event.v1.event_pb2 import EventItem, UserEvent

T = TypeVar("T")


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

    `event_time` must know its time zone. Raises ValueError if it does not, TypeError when items is one bare id.
    """
    time = fields.get("event_time")
    if time is not None and time.tzinfo is None:
        raise ValueError(f"event_time needs a time zone, got {time.isoformat()}")
    event = UserEvent(
        event_type=event_type, user_id=user_id, items=map(_item, listed("items", items)), **fields
    )
    return with_event_id(event)


def with_event_id(event: UserEvent, place: str = "user_event") -> UserEvent:
    """The same event; one without an id gets one in place: sending the object again is a DUPLICATE.

    Raises TypeError that names the place, if what is there is no event.
    """
    if not as_event(event, place).event_id:
        event.event_id = uuid.uuid4().hex
    return event


def taken_in(event: UserEvent, place: str) -> UserEvent:
    """A copy of the event as it is now, with an id, since its sender may make the next one of the same object.

    Raises TypeError that names the place, if what is there is no event.
    """
    copy = UserEvent()
    copy.CopyFrom(with_event_id(event, place))
    return copy


def as_event(event: UserEvent, place: str) -> UserEvent:
    """The same event. Raises TypeError that names the place, if what is there is no event."""
    if not isinstance(event, UserEvent):
        raise TypeError(f"{place} is of type {type(event).__name__}; it must be a UserEvent")
    return event


def listed(name: str, ids: Iterable[T]) -> Iterable[T]:
    """The same ids. Raises TypeError for a bare string, which would be taken apart into its letters."""
    if isinstance(ids, str):
        raise TypeError(f"{name} takes a list of ids, got the string {ids!r}; write [{ids!r}] for one id")
    return ids


def _item(item: str | EventItem) -> EventItem:
    return EventItem(item_id=item) if isinstance(item, str) else item
