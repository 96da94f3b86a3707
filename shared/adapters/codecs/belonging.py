"""Tells whether a stored message speaks of a user, of whom only the key is known.

What cannot be decoded is read leniently: a letter that was refused because it is no event may still name the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson
from google.protobuf.message import DecodeError

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import DeadLetter
from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.keys import user_key

_JSON_USER = re.compile(rb'"user(?:_i|I)d"\s*:\s*("(?:[^"\\]|\\.)*")')
_USER_FIELD = UserEvent.DESCRIPTOR.fields_by_name["user_id"].number
_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_CLOUD_EVENT_SUBJECT = "ce-subject"


def event_is_of(key: int, payload: bytes, headers: Mapping[str, str]) -> bool:
    """Whether an event of the log is the user's."""
    return any(_key_of(user) == key for user in (*_users_in(payload), *_users_of_headers(headers)))


def exposure_is_of(key: int, payload: bytes, states: tuple[int, int]) -> bool:
    """Whether an exposure is the user's and was served from a state of the positions states[0] up to but not including
    states[1]; position 0 is that of no state. An exposure that cannot be read is no one's."""
    try:
        exposure = Exposure.FromString(payload)
    except DecodeError:
        return False
    return states[0] <= exposure.position < states[1] and _key_of(exposure.user_id) == key


def letter_is_of(key: int, payload: bytes) -> bool:
    """Whether a dead letter holds a message about the user: protobuf or JSON, whole, cut off or malformed, with the id
    as it should have been or with what cleaning would have taken from it."""
    try:
        letter = DeadLetter.FromString(payload)
    except DecodeError:
        letter = DeadLetter(payload=payload)
    users = {*_users_in(letter.payload), *_users_of_headers(letter.headers)}
    return any(_key_of(user) == key for user in users)


def _key_of(user: str) -> int | None:
    try:
        return user_key(user)
    except UnicodeEncodeError:  # half a surrogate pair, which no stored id holds
        return None


def _users_in(payload: bytes) -> Iterator[str]:
    """Every user id that the bytes may name: one for an event, any number for what is none."""
    try:
        yield UserEvent.FromString(payload).user_id
    except DecodeError:
        yield from _from_fields(payload)
        yield from _from_json(payload)


def _users_of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Values of those headers that name a user; any other header may hold a user's id by chance, such as "7"."""
    for name, value in headers.items():
        if (lowered := name.lower()) == _CLOUD_EVENT_SUBJECT or "user" in lowered:
            yield value


def _from_fields(payload: bytes) -> Iterator[str]:
    """User ids among the fields of a protobuf event that may be cut off or hold bad text elsewhere."""
    at = 0
    while (tag := _varint(payload, at)) is not None:
        (number, kind), at = divmod(tag[0], 8), tag[1]
        if kind == _LENGTH_DELIMITED and (size := _varint(payload, at)) is not None:
            at = size[1] + size[0]
            if number == _USER_FIELD:
                yield payload[size[1] : at].decode(errors="replace")
        elif kind == 0 and (value := _varint(payload, at)) is not None:
            at = value[1]
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            return


def _varint(payload: bytes, at: int) -> tuple[int, int] | None:
    """A varint and where it ends; None when there is none."""
    value = 0
    for index in range(at, min(at + 10, len(payload))):
        value |= (payload[index] & 0x7F) << 7 * (index - at)
        if payload[index] < 0x80:
            return value, index + 1
    return None


def _from_json(payload: bytes) -> Iterator[str]:
    for literal in _JSON_USER.findall(payload):
        try:
            yield orjson.loads(literal)
        except orjson.JSONDecodeError:
            yield literal[1:-1].decode(errors="replace")
