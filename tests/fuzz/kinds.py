"""Kinds of messages that must be refused. Each is wrong by construction, or by the oracle's word."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from freshet.event.v1.event_pb2 import Attribute, EventItem, UserEvent
from tests.fuzz.oracle import parsed, surely_wrong

FIRST_SECOND, LAST_SECOND = 1_600_000_000, 1_760_000_000
TYPES = ("click", "like", "view-item", "purchase", "add-to-cart", "media-play", "share")
HUGE_BYTES = 900_000
"""What NATS takes at most, less some room for headers."""
Headers = dict[str, str]


class Case(NamedTuple):
    """One message. event: its form where it has one. header_block: headers as raw bytes, instead of `headers`."""

    kind: str
    payload: bytes
    headers: Headers
    header_block: bytes | None = None


def valid_event(rng: random.Random, event_id: str) -> UserEvent:
    """An event that must be accepted."""
    event = UserEvent(event_id=event_id, event_type=rng.choice(TYPES), user_id=f"user-{rng.randrange(5000)}")
    event.event_time.seconds = rng.randrange(FIRST_SECOND, LAST_SECOND)
    event.items.extend(EventItem(item_id=f"item-{rng.randrange(9000)}") for _ in range(rng.randint(1, 4)))
    if rng.random() < 0.3:
        event.attributes["page"].CopyFrom(Attribute(text=[_word(rng)], numbers=[rng.random()]))
    return event


def make_case(rng: random.Random) -> Case:
    """The next message; the same seed makes the same messages."""
    kind = rng.choice(_NAMES)
    made = KINDS[kind](rng)
    return made._replace(kind=kind) if isinstance(made, Case) else Case(kind, made, {})


def _event(rng: random.Random) -> UserEvent:
    return valid_event(rng, f"bad-{rng.getrandbits(64):x}")


def _word(rng: random.Random, least: int = 3, most: int = 12) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyzäöü漢字🎬", k=rng.randint(least, most)))


def _bytes(rng: random.Random, most: int) -> bytes:
    return rng.randbytes(rng.randint(1, most))


def _until_wrong(make: Callable[[], bytes]) -> bytes:
    while True:
        payload = make()
        event = parsed(payload)
        if payload[:1] not in (b"{", b"[") and (event is None or surely_wrong(event)):
            return payload


def _random_bytes(rng: random.Random) -> bytes:
    return _until_wrong(lambda: _bytes(rng, rng.choice((16, 64, 256, 2000))))


def _truncated(rng: random.Random) -> bytes:
    def make() -> bytes:
        whole = _event(rng).SerializeToString()
        return whole[: rng.randrange(1, len(whole))]

    return _until_wrong(make)


def _bit_flipped(rng: random.Random) -> bytes:
    def make() -> bytes:
        payload = bytearray(_event(rng).SerializeToString())
        for _ in range(rng.randint(1, 8)):
            payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        return bytes(payload)

    return _until_wrong(make)


def _wrong_wire_type(rng: random.Random) -> bytes:
    """Known field numbers under another wire type: a parser does not know them, so the required ones are missing."""
    number = rng.choice((2, 3))
    field = bytes([number << 3]) + bytes([rng.randrange(128)])
    event = _event(rng)
    event.ClearField("event_type" if number == 2 else "user_id")
    return field + event.SerializeToString()


def _unfit_json(rng: random.Random, **fields: Any) -> bytes:
    return orjson.dumps(_json_event(rng) | fields)


def _json_event(rng: random.Random) -> dict[str, Any]:
    event = {"eventId": f"bad-{rng.getrandbits(64):x}", "eventType": rng.choice(TYPES), "userId": _word(rng)}
    return {**event, "items": [{"itemId": f"item-{rng.randrange(9000)}"}]}


def _deep_json(rng: random.Random) -> bytes:
    depth = rng.choice((10, 200, 1500, 20_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"items":', b"}"), (b'{"attributes":', b"}")))
    middle = b"%d" % rng.getrandbits(40)
    return opening * depth + middle + closing * depth


def _huge_json(rng: random.Random) -> bytes:
    items = [{"itemId": f"i{number}-{rng.getrandbits(32)}"} for number in range(rng.choice((101, 300, 2000)))]
    if rng.random() < 0.005:
        items *= 10
    return _unfit_json(rng, items=items)[:HUGE_BYTES]


def _invalid_utf8(rng: random.Random) -> bytes:
    bad = rng.choice((b"\xff\xfe\xfd\xfc", b"\xc0\xaf\xc0\xaf", b"\xed\xa0\x80x", b"a\xf0\x28b"))
    event = _event(rng)
    event.user_id = "MARK"
    if rng.random() < 0.5:
        return event.SerializeToString().replace(b"MARK", bad)
    return _unfit_json(rng, userId="MARK").replace(b"MARK", bad)


def _not_finite(rng: random.Random) -> bytes:
    event, number = _event(rng), rng.choice((math.nan, math.inf, -math.inf))
    match rng.randrange(4):
        case 0:
            event.items[0].value = number
        case 1:
            event.attributes["n"].numbers.append(number)
        case 2:
            return _unfit_json(rng, items=[{"itemId": "i", "value": str(number)}])
        case _:
            return _unfit_json(rng, items=[{"itemId": "i", "value": "MARK"}]).replace(
                b'"MARK"', rng.choice((b"NaN", b"Infinity", b"1e999", b"-1e400"))
            )
    return event.SerializeToString()


def _bad_time(rng: random.Random) -> bytes:
    event = _event(rng)
    if rng.random() < 0.3:
        moment = rng.choice(
            ("1889-01-01T00:00:00Z", "9998-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "yesterday", "")
        )
        return _unfit_json(rng, eventTime=moment)
    event.event_time.seconds = rng.choice((-(2**62), -1, 2**62, 2**40, 32_503_680_000, -2_000_000_000))
    if rng.random() < 0.2:
        event.event_time.nanos = rng.choice((-1, 2**31 - 1))
    return event.SerializeToString()


def _giant_string(rng: random.Random) -> bytes:
    size = HUGE_BYTES // 4 if rng.random() < 0.002 else rng.randint(1100, 6000)
    text, event = rng.choice("xä漢🎬") * size, _event(rng)
    field = rng.choice(
        ("user_id", "session_id", "placement", "attribution_token", "query", "event_type", "item")
    )
    if field == "item":
        event.items[0].item_id = text
    else:
        setattr(event, field, text)
    return event.SerializeToString()


def _wrong_json_type(rng: random.Random) -> bytes:
    field, wrong = rng.choice((
        ("userId", 7), ("userId", {"a": 1}), ("userId", ["u"]), ("eventType", True), ("items", "i1"),
        ("items", {"itemId": "x"}), ("items", ["i1"]), ("items", [{"itemId": 3}]), ("items", [7]), ("items", None),
        ("eventTime", 12), ("eventTime", {"seconds": 3}), ("attributes", [1]), ("attributes", {"a": "text"}),
        ("attributes", {"a": {"numbers": ["x"]}}), ("items", [{"itemId": "i", "quantity": "many"}]),
        ("items", [{"itemId": "i", "quantity": 1.5}]), ("items", [{"itemId": "i", "quantity": 2**40}]),
        ("noSuchField", 1), ("items", [[{}]]),
    ))  # fmt: skip
    return _unfit_json(rng, **{field: wrong})


def _not_an_object(rng: random.Random) -> bytes:
    texts = (
        b"[]",
        b"[1,2]",
        b'{"userId":',
        b"{]",
        b'{"a" 1}',
        b"{'userId': 'u'}",
        b'{"userId": "\\ud800"}',
        b"[" * 9,
    )
    return rng.choice(texts) + b" " * rng.randrange(40)


def _bad_cloud_event(rng: random.Random) -> Case:
    event = _event(rng)
    match rng.randrange(4):
        case 0:
            event.event_id, headers = "", {"ce-id": f"not an id {rng.getrandbits(32)}"}
        case 1:
            event.event_type, headers = "", {"ce-type": f"com.example.{rng.getrandbits(32):x}"}
        case 2:
            event.ClearField("event_time")
            headers = {
                "ce-time": rng.choice(("soon", "2024-99-99T00:00:00Z", "1700000000", "1066-10-14T00:00:00Z"))
            }
        case _:
            headers = {"content-type": "application/cloudevents+json"}
    return Case("", event.SerializeToString(), headers)


def _bad_header_block(rng: random.Random) -> Case:
    blocks = (
        b"junk", b"NATS/1.0\r\nno colon", b"NATS/1.0\r\nce-id: a\xff\xfe", b"NATS/1.0 503 No Responders",
        b"NATS/1.0\r\nStatus: 404", b"NATS/1.0 100 Idle Heartbeat", b"NATS/1.0\r\n: empty",
        b"NATS/1.0\r\n\x00\x01: \x02",
        b"NATS/1.0 404\r\nNats-Pending-Messages: 9", b"NATS/9.9\r\na: b", b"X",
    )  # fmt: skip
    event = _event(rng)
    event.user_id = ""
    payload = b"" if rng.random() < 0.05 else event.SerializeToString()
    return Case("", payload, {}, rng.choice(blocks) + b"\r\n\r\n")


def _unknown_type(rng: random.Random) -> bytes:
    event = _event(rng)
    event.event_type = f"{rng.choice(('zz', 'event', 'Klick', '点击'))}-{rng.getrandbits(32):x}"
    return event.SerializeToString()


def _missing_field(rng: random.Random) -> bytes:
    event = _event(rng)
    field = rng.choice(("event_type", "user_id", "items", "item_id", "query"))
    if field == "item_id":
        event.items[-1].item_id = rng.choice(("", "  "))
    elif field == "query":
        event.event_type = "search"
    else:
        event.ClearField(field)
    return event.SerializeToString()


def _control_characters(rng: random.Random) -> bytes:
    event, control = _event(rng), rng.choice("\x01\x02\x07\x08\x0e\x1b\x1f\x7f")
    text = f"a{control}b{rng.getrandbits(32):x}"
    match rng.randrange(4):
        case 0:
            event.user_id = text
        case 1:
            event.event_id = text
        case 2:
            event.items[0].item_id = text
        case _:
            event.event_type = text
    return event.SerializeToString()


def _duplicate_keys(rng: random.Random) -> bytes:
    """The last of two counts, and it is wrong."""
    good = orjson.dumps(_json_event(rng))
    if rng.random() < 0.5:
        return good[:-1] + b',"eventType":"zz-%x"}' % rng.getrandbits(32)
    event = _event(rng)
    wrong = UserEvent(event_type=f"zz-{rng.getrandbits(32):x}")
    return event.SerializeToString() + wrong.SerializeToString()


KINDS: dict[str, Callable[[random.Random], bytes | Case]] = {
    "random-bytes": _random_bytes,
    "truncated": _truncated,
    "bit-flipped": _bit_flipped,
    "wrong-wire-type": _wrong_wire_type,
    "deep-json": _deep_json,
    "huge-json": _huge_json,
    "invalid-utf8": _invalid_utf8,
    "not-finite": _not_finite,
    "time-out-of-range": _bad_time,
    "giant-string": _giant_string,
    "wrong-json-type": _wrong_json_type,
    "not-an-object": _not_an_object,
    "bad-cloud-event": _bad_cloud_event,
    "bad-header-block": _bad_header_block,
    "unknown-type": _unknown_type,
    "missing-field": _missing_field,
    "control-characters": _control_characters,
    "duplicate-keys": _duplicate_keys,
}
RARE = {"deep-json": 1, "huge-json": 1, "giant-string": 2}
_NAMES = [name for name in KINDS for _ in range(RARE.get(name, 6))]
