"""One quick look that tells a plain event: nothing to normalise, nothing wrong with it, nothing in it to be emptied.

Most events are plain, and this costs a fraction of what naming violations costs. The look rests on sizes: what the few
fields that are looked at take in the serialised event, which is needed anyway, is added up. When that is all of it,
no other field is set, known or unknown, and none has to be asked for. It may call a good event not plain, never the
other way round; tests hold it against validation and normalisation.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import lru_cache

from freshet.event.v1.event_pb2 import EventItem
from services.ingestion.cleaning.draft import NO_VALUE, Draft
from services.ingestion.validation import MAX_ITEMS, MOST_VALUE
from shared.adapters.codecs.keys import item_key, user_key
from shared.domain.events.event import EVENT_TYPE_BY_WORD, EventType
from shared.domain.violation import ID_CHARACTERS

_OTHER = -(1 << 30)
"""The size of what is not plain: no sum with it is the size of an event."""
_LONGEST = 127
"""Up to this size, a field takes one byte for its length."""
_HEADER = 2
_VALUE_SIZE = 9
_KEY_SIZE = 8
_REMEMBERED = 100_000
_TYPE_SIZES = {
    word: len(word) + _HEADER
    for word in EVENT_TYPE_BY_WORD
    if word not in (EventType.SEARCH.word, EventType.REVERSAL.word)
}
_is_plain_text = re.compile(rf"[!-~](?:[ -~]{{0,{ID_CHARACTERS - 3}}}[!-~])?").fullmatch
"""Printable ASCII, 1 to 127 characters, no space around it. One expression costs half of four tests of a text."""
_is_plain_id = re.compile(rf"[!-~]{{1,{_LONGEST}}}").fullmatch


def is_plain(draft: Draft) -> bool:
    """Whether the event of a draft is plain, its event time apart: that is not judged. What was seen of a plain event
    stands in the draft afterwards."""
    event = draft.event
    payload, event_id, keys = event.SerializeToString(), event.event_id, b""
    user_size, draft.user_key = _plain_user(event.user_id)
    rest = len(payload) - user_size - _TYPE_SIZES.get(event.event_type, _OTHER)
    if event_id:
        rest -= len(event_id) + _HEADER if _is_plain_id(event_id) else _OTHER
    if draft.told:
        rest -= _time_size(event.event_time.seconds, event.event_time.nanos)
    for item in event.items:
        size, key = _plain_item(item.item_id)
        rest -= size
        keys += key
    if not 0 < len(keys) <= MAX_ITEMS * _KEY_SIZE or (rest and not _has_more(draft, rest)):
        return False
    draft.event_id, draft.payload, draft.item_keys = event_id, payload, keys
    return True


def _has_more(draft: Draft, rest: int) -> bool:
    """Whether the fields that are set less often take just `rest` bytes."""
    event = draft.event
    draft.session_id, draft.placement = event.session_id, event.placement
    for text in (event.session_id, event.placement, event.attribution_token):
        if text:
            rest -= len(text) + _HEADER if _is_plain_text(text) else _OTHER
    extra, draft.values = _extras(event.items)
    return rest == extra


def _extras(items: Iterable[EventItem]) -> tuple[int, bytes]:
    """The size of what items hold beside their ids, and their values."""
    size, values = 0, b""
    for item in items:
        value, quantity, position = item.value, item.quantity, item.position
        values += _float32(value) if value else NO_VALUE  # one that is set to 0 adds to the size
        size += _VALUE_SIZE if value else 0
        for number in (quantity, position):
            size += _number_size(number) if number else 0
        if not (abs(value) <= MOST_VALUE and quantity >= 0 and position >= 0):
            size = _OTHER
    return size, values


def _number_size(number: int) -> int:
    """Of a field that holds a number, 0 or more."""
    return 1 + (number.bit_length() + 6) // 7


def _float32(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def _time_size(seconds: int, nanos: int) -> int:
    """Of an event time; one before 1970 is not plain."""
    if seconds < 0 or nanos < 0:
        return _OTHER
    return _HEADER + (_number_size(seconds) if seconds else 0) + (_number_size(nanos) if nanos else 0)


def forget_users() -> None:
    """Remember no user id."""
    _plain_user.cache_clear()


@lru_cache(_REMEMBERED)
def _plain_user(user_id: str) -> tuple[int, int]:
    """The size of a user id, and its key."""
    return (len(user_id) + _HEADER if _is_plain_text(user_id) else _OTHER), user_key(user_id)


@lru_cache(_REMEMBERED)
def _plain_item(item_id: str) -> tuple[int, bytes]:
    """The size of an item that has an id alone, and the bytes of its key."""
    size = len(item_id) + _HEADER
    fits = size <= _LONGEST and _is_plain_text(item_id)
    return (size + _HEADER if fits else _OTHER), item_key(item_id).to_bytes(_KEY_SIZE, "little")
