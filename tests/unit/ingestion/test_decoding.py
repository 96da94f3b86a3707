"""What comes to the NATS door: protobuf, JSON, CloudEvents headers, and bytes that are nothing of the kind."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.decoding import MalformedEventError, decode_user_event
from tests.builders import message

EVENT = message(event_id="e1", session_id="s1")
JSON = {"content-type": "application/json"}


def refused(payload: bytes, headers: dict[str, str] | None = None) -> str:
    """The field that is named when the payload is refused."""
    with pytest.raises(MalformedEventError) as caught:
        decode_user_event(payload, headers or {})
    return caught.value.violation.field


def test_protobuf_is_read():
    assert decode_user_event(EVENT.SerializeToString(), {}) == EVENT


@pytest.mark.parametrize("keep_names", [True, False])
def test_json_is_read_with_names_of_either_style(keep_names):
    text = json_format.MessageToJson(EVENT, preserving_proto_field_name=keep_names)
    assert decode_user_event(text.encode(), {}) == EVENT


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
def test_a_content_type_makes_it_json_whatever_its_first_byte(name):
    text = "\n" + json_format.MessageToJson(EVENT)
    assert decode_user_event(text.encode(), {name: "application/json; charset=utf-8"}) == EVENT


@pytest.mark.parametrize("space", ["\n", " ", "\r\n", "\t", "\n \n\t"])
def test_json_behind_white_space_is_json_without_a_content_type(space):
    text = space + json_format.MessageToJson(EVENT) + space
    assert decode_user_event(text.encode(), {}) == EVENT


@pytest.mark.parametrize("event_id", ["x" * 123, " " * 9 + "{" * 114, "{" + "x" * 31, '"' * 123])
def test_protobuf_that_begins_as_json_behind_white_space_does_is_protobuf(event_id):
    event = message(event_id=event_id)
    assert event.SerializeToString()[:1] == b"\n"
    assert decode_user_event(event.SerializeToString(), {}) == event


def test_cloud_events_headers_fill_what_is_empty():
    headers = {"ce-id": "c1", "Ce-Type": "like", "ce-time": "2024-02-29T12:00:00Z"}
    event = decode_user_event(b'{"userId": "u1"}', headers)
    assert (event.event_id, event.event_type, event.event_time.seconds) == ("c1", "like", 1_709_208_000)


def test_cloud_events_headers_replace_nothing():
    headers = {"ce-id": "c1", "ce-type": "like", "ce-time": "2024-02-29T12:00:00Z"}
    assert decode_user_event(EVENT.SerializeToString(), headers) == EVENT


def test_a_cloud_events_time_that_is_none_is_named():
    assert refused(b'{"userId": "u1"}', {"ce-time": "yesterday"}) == "ce-time"


@pytest.mark.parametrize(
    "payload, field",
    [
        (b'{"userId": 7}', "userId"),
        (b'{"eventTime": "yesterday"}', "eventTime"),
        (b'{"items": [{"quantity": "many"}]}', "items.quantity"),
        (b'{"colour": "red"}', "colour"),
        (b'{"items": [{"colour": "red"}]}', "items.colour"),
        (b"[1, 2]", "payload"),
        (b'{"userId": ', "payload"),
    ],
)
def test_json_that_does_not_fit_is_refused_and_the_field_named(payload, field):
    assert refused(payload) == field


@pytest.mark.parametrize("field", ["userId", "eventType", "query"])
def test_invalid_utf8_in_json_is_named(field):
    assert refused(b'{"sessionId": "s", "' + field.encode() + b'": "a\xffb"}') == field


@pytest.mark.parametrize(
    "event, field",
    [
        (UserEvent(event_id="MARK"), "event_id"),
        (UserEvent(event_type="MARK"), "event_type"),
        (UserEvent(user_id="MARK"), "user_id"),
        (UserEvent(session_id="MARK"), "session_id"),
        (UserEvent(attribution_token="MARK"), "attribution_token"),
        (UserEvent(placement="MARK"), "placement"),
        (UserEvent(query="MARK"), "query"),
        (message(items=["good", "MARK"]), "items[1].item_id"),
        (UserEvent(attributes={"MARK": {}}), "attributes[0].key"),
        (UserEvent(attributes={"a": {"text": ["good", "MARK"]}}), "attributes[0].value.text[1]"),
    ],
)
def test_invalid_utf8_in_protobuf_is_named(event, field):
    assert refused(event.SerializeToString().replace(b"MARK", b"\xff\xfe\xfd\xfc")) == field


@pytest.mark.parametrize("payload", [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"hello, world"])
def test_garbage_is_refused(payload):
    assert refused(payload) == "payload"


def test_deep_json_is_refused():
    assert refused(b'{"attributes":' * 900 + b"1" + b"}" * 900).startswith("attributes")


@given(st.binary(max_size=80))
def test_any_bytes_are_an_event_or_refused(payload):
    try:
        assert isinstance(decode_user_event(payload, {}), UserEvent)
    except MalformedEventError as error:
        assert error.violation.field


_NAMES = st.sampled_from(
    ["eventId", "items", "eventTime", "attributes", "quantity", "value", "text", "numbers"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_any_json_is_an_event_or_refused(content):
    try:
        assert isinstance(decode_user_event(json.dumps(content).encode(), JSON), UserEvent)
    except MalformedEventError as error:
        assert error.violation.field
