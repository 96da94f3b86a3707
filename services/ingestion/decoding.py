"""From what arrives at the NATS door to a `UserEvent`: protobuf or JSON, CloudEvents headers taken into account."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from freshet.event.v1 import event_pb2
from freshet.event.v1.event_pb2 import UserEvent
from shared.domain.violation import Violation

_JSON_FIELD = re.compile(r'Failed to parse (\w+) field|has no field named "(\w+)"')


class MalformedEventError(ValueError):
    """The bytes are no event; `violation` names the field where that can be told."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"{violation.field}: {violation.description}")
        self.violation = violation


def decode_user_event(payload: bytes, headers: Mapping[str, str]) -> UserEvent:
    """The event in a NATS message. JSON when the content type says so or its first byte is a bracket, which begins
    no protobuf event, or when it is a JSON object behind white space, which holds none; else protobuf.

    CloudEvents (binary mode): `ce-id`, `ce-type` and `ce-time` stand in for fields that the event leaves empty.
    Raises MalformedEventError.
    """
    lowered = {key.lower(): value for key, value in headers.items()}
    is_json = "json" in lowered.get("content-type", "") or payload[:1] in (b"{", b"[")
    event = _from_json(payload) if is_json or _is_json_behind_space(payload) else _from_protobuf(payload)
    _take_cloud_event(event, lowered)
    return event


def _is_json_behind_space(payload: bytes) -> bool:
    """Protobuf may begin so, too, with an id of 123 characters, but is no JSON to its last byte."""
    if not payload[:1].isspace() or payload.lstrip()[:1] != b"{":
        return False
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return True


_OUTPUT_ONLY = (
    "ingest_time", "cleaning", "corrected_event_type", "corrected_event_time", "previous_dwell_seconds",
    "filled_fields",
)  # fmt: skip


def clear_what_is_not_the_senders(event: UserEvent, redriven: bool = False) -> None:
    """Empty the fields that Freshet itself fills, and drop fields that this version does not know: they would be
    kept unchecked, however large. redriven: whether the event is tied to its dead letter, which stays."""
    for field in _OUTPUT_ONLY:
        event.ClearField(field)
    if not redriven:
        event.ClearField("dead_letter_id")
    event.DiscardUnknownFields()


def _from_json(payload: bytes) -> UserEvent:
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise _malformed(_json_field_with_bad_text(payload), f"is no JSON: {error}", "MALFORMED") from None
    if not isinstance(content, dict):
        raise _malformed("payload", "must be a JSON object", "MALFORMED")
    try:
        return json_format.ParseDict(content, UserEvent())
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise _malformed(_path_in(str(error)), f"does not fit: {error}", "MALFORMED") from None


def _path_in(message: str) -> str:
    """The field that json_format's message speaks of, else "payload"."""
    fields = _JSON_FIELD.findall(message)
    return ".".join(outer or unknown for outer, unknown in fields) or "payload"


def _json_field_with_bad_text(payload: bytes) -> str:
    """The member whose text is no UTF-8, else "payload"."""
    text = payload.decode("utf-8", errors="surrogateescape")
    bad = next((index for index, character in enumerate(text) if "\udc80" <= character <= "\udcff"), None)
    if bad is None:
        return "payload"
    members = re.findall(r'"([A-Za-z_]{1,64})"\s*:', text[:bad])
    return members[-1] if members else "payload"


def _from_protobuf(payload: bytes) -> UserEvent:
    try:
        return UserEvent.FromString(payload)
    except DecodeError:
        field = _field_with_bad_text(payload)
    if field:
        raise _malformed(field, "is not valid UTF-8", "INVALID_UTF8")
    raise _malformed("payload", "is neither a freshet.event.v1.UserEvent nor its JSON form", "MALFORMED")


def _field_with_bad_text(payload: bytes) -> str | None:
    """Path of the first text field that holds no UTF-8; None when the bytes are no message at all."""
    try:
        message = _BytesUserEvent.FromString(payload)
    except DecodeError:
        return None
    return next(_bad_texts(message, ""), None)


def _bad_texts(message: Message, prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        for suffix, one in _values(field, value):
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _bad_texts(one, f"{prefix}{field.name}{suffix}.")
            elif field.type == FieldDescriptor.TYPE_BYTES and not _is_utf8(one):
                yield f"{prefix}{field.name}{suffix}"


def _values(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    if field.is_repeated:
        yield from ((f"[{index}]", one) for index, one in enumerate(value))
    else:
        yield "", value


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _take_cloud_event(event: UserEvent, headers: Mapping[str, str]) -> None:
    event.event_id = event.event_id or headers.get("ce-id", "")
    event.event_type = event.event_type or headers.get("ce-type", "")
    if "ce-time" in headers and not event.HasField("event_time"):
        moment = timestamp_pb2.Timestamp()
        try:
            moment.FromJsonString(headers["ce-time"])
        except ValueError as error:
            raise _malformed("ce-time", f"is no RFC 3339 time: {error}", "MALFORMED") from None
        event.event_time.CopyFrom(moment)


def _malformed(field: str, description: str, reason: str) -> MalformedEventError:
    return MalformedEventError(Violation(field, description[:1024], reason))


def _with_bytes_for_text() -> type[Message]:
    """UserEvent's twin whose texts are bytes and whose maps are entries: it parses what UserEvent refuses."""
    twin = descriptor_pb2.FileDescriptorProto()
    event_pb2.DESCRIPTOR.CopyToProto(twin)
    twin.name, twin.package = "freshet/bytes/event.proto", "freshet.bytes"
    for message in twin.message_type:
        for part in (message, *message.nested_type):
            part.options.map_entry = False
            for field in part.field:
                if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
                    field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
                if field.type_name.startswith(".freshet.event.v1."):
                    field.type_name = field.type_name.replace(".freshet.event.v1.", ".freshet.bytes.")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(twin)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("freshet.bytes.UserEvent"))


_BytesUserEvent = _with_bytes_for_text()
