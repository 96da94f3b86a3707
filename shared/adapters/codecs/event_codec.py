"""From the log's `UserEvent` messages to the folds' events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.adapters.codecs.keys import event_key, item_key, user_key
from shared.domain.events.event import EVENT_CODE_BY_WORD, EVENT_TYPE_BY_WORD, Event, ItemReference
from shared.domain.events.event_batch import EventBatch, starts

_NAN = math.nan


class Unreadable(NamedTuple):
    """A message that is no event."""

    position: int
    reason: str


class Decoded(NamedTuple):
    """The events in messages as columns, their ids, and the messages that are none."""

    batch: EventBatch
    event_ids: list[str]
    unreadable: list[Unreadable]


def decode_batch(messages: Iterable[tuple[int, bytes]]) -> Decoded:
    """The events in messages (position, payload)."""
    event_ids: list[str] = []
    events: list[tuple] = []
    item_keys: list[int] = []
    values: list[float] = []
    unreadable: list[Unreadable] = []
    for position, payload in messages:
        try:
            message = UserEvent.FromString(payload)
            events.append(_event_row(position, message))
        except (DecodeError, KeyError) as error:
            unreadable.append(Unreadable(position, repr(error)))
            continue
        event_ids.append(message.event_id)
        for item in message.items:
            item_keys.append(item_key(item.item_id))
            values.append(item.value if item.HasField("value") else _NAN)
    columns: Iterable[Sequence] = zip(*events, strict=True) if events else [()] * 9
    positions, key, user, code, time, session, corrected, corrected_time, counts = columns
    batch = EventBatch(
        np.array(positions, np.int64), np.array(key, np.uint64), np.array(user, np.uint64),
        np.array(code, np.uint8), np.array(time, np.int64), np.array(session, np.uint64),
        np.array(corrected, np.uint8), np.array(corrected_time, np.int64),
        starts(counts), np.array(item_keys, np.uint64), np.array(values, np.float32),
    )  # fmt: skip
    return Decoded(batch, event_ids, unreadable)


def _event_row(position: int, message: UserEvent) -> tuple:
    session, corrected, moment = message.session_id, message.corrected_event_type, message.event_time
    return (
        position,
        event_key(message.event_id),
        user_key(message.user_id),
        EVENT_CODE_BY_WORD[message.event_type],
        moment.seconds * 1000 + moment.nanos // 1_000_000,
        event_key(session) if session else 0,
        EVENT_CODE_BY_WORD[corrected] if corrected else 0,
        milliseconds(message.corrected_event_time) if corrected else 0,
        len(message.items),
    )


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
