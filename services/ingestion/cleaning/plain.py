"""Whether an event is as nearly all are: then it breaks no rule and there is nothing to normalise."""

from __future__ import annotations

import math
import re

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.validation import MAX_ITEMS, EventTimeBounds
from shared.domain.event import EVENT_TYPE_BY_WORD, ITEMLESS_EVENT_TYPES, EventType

_PLAIN_ID = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?", re.ASCII).fullmatch
_EVENT_ID = re.compile(r"[!-~]{1,128}", re.ASCII).fullmatch
_PLAIN_TYPES = {
    word
    for word, event_type in EVENT_TYPE_BY_WORD.items()
    if event_type not in ITEMLESS_EVENT_TYPES and event_type != EventType.REVERSAL
}


def is_plain(event: UserEvent, bounds: EventTimeBounds, now: float) -> bool:
    """True only for an event of visible ASCII, with items and without extras, whose time lies in the past: validation
    would find nothing wrong with it and normalising nothing to change. now: seconds since 1970."""
    if event.event_type not in _PLAIN_TYPES or not _PLAIN_ID(event.user_id):
        return False
    if (event_id := event.event_id) and not _EVENT_ID(event_id):
        return False
    if event.query or event.attributes or event.corrects_event_id:
        return False
    for text in (event.session_id, event.placement, event.attribution_token):
        if text and not _PLAIN_ID(text):
            return False
    return _items_are_plain(event) and _time_is_plain(event, bounds, now)


def _items_are_plain(event: UserEvent) -> bool:
    items = event.items
    if not 0 < len(items) <= MAX_ITEMS:
        return False
    for item in items:
        if not _PLAIN_ID(item.item_id) or item.quantity < 0 or item.position < 0:
            return False
        if not math.isfinite(item.value):
            return False
    return True


def _time_is_plain(event: UserEvent, bounds: EventTimeBounds, now: float) -> bool:
    if not event.HasField("event_time"):
        return True
    moment = event.event_time
    return bounds.earliest <= moment.seconds < int(now) and 0 <= moment.nanos < 1_000_000_000
