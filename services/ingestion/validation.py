"""What an event or item must be to enter the log. Pure: every rule names the field, what is wrong and what is right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from freshet.catalog.v1.item_pb2 import Item
from freshet.catalog.v1.user_pb2 import User
from freshet.event.v1.event_pb2 import Attribute, EventItem, UserEvent
from shared.domain.events.event import EVENT_TYPE_BY_WORD, ITEMLESS_EVENT_TYPES, EventType
from shared.domain.violation import ID_CHARACTERS, Violation

TEXT_CHARACTERS = 1024
MAX_ITEMS = 100
MAX_CATEGORIES = 50
MAX_ATTRIBUTES = 50
ATTRIBUTE_KEY_CHARACTERS = 64
ATTRIBUTE_BYTES = 16 * 1024
MOST_VALUE = 3.4028234e38
"""Folds and archive hold values in 32 bits; beyond this, they would be infinite there."""
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
LANGUAGE_CHARACTERS = 35
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class EventTimeBounds:
    """Event times that are accepted, in seconds since 1970."""

    earliest: float
    latest_skew: float

    @classmethod
    def since_year(cls, year: int, latest_skew_seconds: float) -> EventTimeBounds:
        """From the first of January of `year` until `latest_skew_seconds` after the time of receipt."""
        return cls(datetime(year, 1, 1, tzinfo=UTC).timestamp(), latest_skew_seconds)


def event_violations(event: UserEvent, bounds: EventTimeBounds, now: float) -> list[Violation]:
    """Everything wrong with an event; empty when it may enter the log. now: time of receipt, seconds since 1970."""
    return [
        *_event_id(event.event_id),
        *_event_type(event),
        *_identifier("user_id", event.user_id, required=True),
        *_identifier("session_id", event.session_id),
        *_identifier("placement", event.placement),
        *_identifier("attribution_token", event.attribution_token),
        *_length("query", event.query, TEXT_CHARACTERS),
        *_corrects(event),
        *_event_time(event, bounds, now),
        *_items(event),
        *_attributes(event.attributes),
    ]


def item_violations(item: Item) -> list[Violation]:
    """Everything wrong with a catalogue item; empty when it may enter the log."""
    found = [
        *_identifier("item_id", item.item_id, required=True),
        *_length("title", item.title, TEXT_CHARACTERS),
        *_length("brand", item.brand, ID_CHARACTERS),
        *_attributes(item.attributes),
    ]
    if len(item.categories) > MAX_CATEGORIES:
        found.append(_out_of_range("categories", f"has {len(item.categories)}; at most {MAX_CATEGORIES}"))
    for index, category in enumerate(item.categories):
        found += _length(f"categories[{index}]", category, ID_CHARACTERS)
    if item.HasField("price") and not (math.isfinite(item.price) and item.price >= 0):
        found.append(_out_of_range("price", f"is {item.price}; must be finite and not negative"))
    return [*found, *_moment("available_time", item.available_time)]


def user_violations(user: User) -> list[Violation]:
    """Everything wrong with a user; empty when it may enter the log."""
    found = [
        *_identifier("user_id", user.user_id, required=True),
        *_moment("sign_up_time", user.sign_up_time),
        *_attributes(user.attributes),
    ]
    language = user.language
    if language and not (len(language) <= LANGUAGE_CHARACTERS and _LANGUAGE.fullmatch(language)):
        rule = f"must be a BCP 47 tag such as pt-BR, at most {LANGUAGE_CHARACTERS} characters"
        found.append(Violation("language", rule, "MALFORMED"))
    if user.country and not _COUNTRY.fullmatch(user.country):
        found.append(
            Violation("country", "must be an ISO 3166-1 code of two letters such as DE", "MALFORMED")
        )
    return found


def _moment(field: str, moment: Timestamp) -> Iterator[Violation]:
    """A time that the calendar knows: the years 1 to 9999."""
    if not (-62_135_596_800 <= moment.seconds <= 253_402_300_799 and 0 <= moment.nanos < 1_000_000_000):
        yield _out_of_range(field, "must lie in the years 1 to 9999")


def _event_id(event_id: str) -> Iterator[Violation]:
    if event_id and not _EVENT_ID.fullmatch(event_id):
        rule = f"must have 1 to {ID_CHARACTERS} visible ASCII characters without spaces"
        yield Violation("event_id", rule, "INVALID_CHARACTERS")


def _event_type(event: UserEvent) -> Iterator[Violation]:
    if not event.event_type:
        yield Violation("event_type", "is required, for example click", "REQUIRED")
    elif event.event_type not in EVENT_TYPE_BY_WORD:
        known = ", ".join(EVENT_TYPE_BY_WORD)
        yield Violation(
            "event_type", f"{event.event_type[:64]!r} is not one of {known}", "UNKNOWN_EVENT_TYPE"
        )
    elif event.event_type == EventType.SEARCH.word and not event.query:
        yield Violation("query", "is required for search", "REQUIRED")


def _corrects(event: UserEvent) -> Iterator[Violation]:
    if event.event_type == EventType.REVERSAL.word:
        if not event.corrects_event_id:
            yield Violation("corrects_event_id", "is required for reversal", "REQUIRED")
        elif not _EVENT_ID.fullmatch(event.corrects_event_id):
            rule = f"must have 1 to {ID_CHARACTERS} visible ASCII characters without spaces"
            yield Violation("corrects_event_id", rule, "INVALID_CHARACTERS")
    elif event.corrects_event_id:
        yield Violation("corrects_event_id", "is only for reversal; leave it empty", "OUT_OF_RANGE")


def _identifier(field: str, value: str, required: bool = False) -> Iterator[Violation]:
    if required and not value.strip():
        yield Violation(field, f"is required, 1 to {ID_CHARACTERS} characters", "REQUIRED")
    elif len(value) > ID_CHARACTERS:
        yield _out_of_range(field, f"has {len(value)} characters; at most {ID_CHARACTERS}")
    elif _CONTROL.search(value):
        yield Violation(field, "must not hold control characters", "INVALID_CHARACTERS")


def _length(field: str, value: str, most: int) -> Iterator[Violation]:
    if len(value) > most:
        yield _out_of_range(field, f"has {len(value)} characters; at most {most}")


def _event_time(event: UserEvent, bounds: EventTimeBounds, now: float) -> Iterator[Violation]:
    if not event.HasField("event_time"):
        return
    seconds, nanos = event.event_time.seconds, event.event_time.nanos
    if not 0 <= nanos < 1_000_000_000:
        yield _out_of_range("event_time.nanos", f"is {nanos}; must be 0 to 999,999,999")
    elif seconds < bounds.earliest:
        yield _out_of_range("event_time", f"is {_iso(seconds)}, before {_iso(bounds.earliest)}")
    elif seconds > now + bounds.latest_skew:
        latest = f"more than {bounds.latest_skew:g} s ahead of this server's {_iso(now)}"
        yield _out_of_range("event_time", f"is {_iso(seconds)}, {latest}")


def _iso(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s since 1970"


def _items(event: UserEvent) -> Iterator[Violation]:
    if not event.items:
        event_type = EVENT_TYPE_BY_WORD.get(event.event_type)
        if event_type is not None and event_type not in ITEMLESS_EVENT_TYPES:
            yield Violation("items", f"at least one is required for {event.event_type}", "REQUIRED")
    elif len(event.items) > MAX_ITEMS:
        yield _out_of_range("items", f"has {len(event.items)}; at most {MAX_ITEMS}")
    else:
        for index, item in enumerate(event.items):
            yield from _item(f"items[{index}]", item)


def _item(path: str, item: EventItem) -> Iterator[Violation]:
    yield from _identifier(f"{path}.item_id", item.item_id, required=True)
    if item.quantity < 0:
        yield _out_of_range(f"{path}.quantity", f"is {item.quantity}; must not be negative")
    if item.position < 0:
        yield _out_of_range(f"{path}.position", f"is {item.position}; places count from 1")
    if item.HasField("value") and not abs(item.value) <= MOST_VALUE:
        yield _out_of_range(f"{path}.value", f"is {item.value}; must be from -3.4e38 to 3.4e38")


def _attributes(attributes: Mapping[str, Attribute]) -> Iterator[Violation]:
    if len(attributes) > MAX_ATTRIBUTES:
        yield _out_of_range("attributes", f"has {len(attributes)}; at most {MAX_ATTRIBUTES}")
        return
    for key, attribute in attributes.items():
        path = f'attributes["{key[:ATTRIBUTE_KEY_CHARACTERS]}"]'
        if not 1 <= len(key) <= ATTRIBUTE_KEY_CHARACTERS:
            yield _out_of_range(path, f"its key must have 1 to {ATTRIBUTE_KEY_CHARACTERS} characters")
        if (size := attribute.ByteSize()) > ATTRIBUTE_BYTES:
            yield _out_of_range(path, f"has {size:,} bytes; at most {ATTRIBUTE_BYTES:,}")
        elif not all(map(math.isfinite, attribute.numbers)):
            yield _out_of_range(path, "its numbers must be finite")


def _out_of_range(field: str, description: str) -> Violation:
    return Violation(field, description, "OUT_OF_RANGE")
