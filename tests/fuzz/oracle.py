"""What must be refused, judged apart from the service: rules written anew from the protos' words, none imported.

It need not know everything that is wrong. What it calls wrong must be refused; mutations of which it is not sure are
thrown away and made again.
"""

from __future__ import annotations

import math
import time

from google.protobuf.message import DecodeError

from freshet.event.v1.event_pb2 import UserEvent

WITHOUT_ITEMS = frozenset(("search", "conversion", "answer", "complete", "reversal"))
WORDS = frozenset(
    [
        "view-item-list",
        "view-item",
        "click",
        "like",
        "dislike",
        "unlike",
        "rate",
        "share",
        "follow",
        "add-to-cart",
        "remove-from-cart",
        "purchase",
        "refund",
        "media-play",
        "media-complete",
        "skip",
        "search",
        "ad-impression",
        "ad-click",
        "answer",
        "complete",
        "conversion",
        "reversal",
    ]
)
YEAR_SECONDS = 365 * 86_400


def parsed(payload: bytes) -> UserEvent | None:
    """The event in protobuf bytes; None when they are none."""
    try:
        return UserEvent.FromString(payload)
    except DecodeError:
        return None


def surely_wrong(event: UserEvent) -> bool:
    """Whether the event breaks a rule that nobody may bend."""
    word = event.event_type.strip().lower()
    if word not in WORDS or not event.user_id.strip():
        return True
    if not event.items and word not in WITHOUT_ITEMS:
        return True
    too_long = len(event.user_id) > 200 or any(len(item.item_id) > 200 for item in event.items)
    nameless = any(not item.item_id.strip() for item in event.items)
    return too_long or nameless or _bad_number(event) or _bad_time(event)


def _bad_number(event: UserEvent) -> bool:
    numbers = [item.value for item in event.items]
    numbers += [number for attribute in event.attributes.values() for number in attribute.numbers]
    return any(item.quantity < 0 for item in event.items) or not all(map(math.isfinite, numbers))


def _bad_time(event: UserEvent) -> bool:
    seconds = event.event_time.seconds
    return seconds < 0 or seconds > time.time() + YEAR_SECONDS
