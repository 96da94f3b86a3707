"""Frames of the NATS protocol: the same messages come out however the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.jetstream.nats_frames import (
    MAX_CONTROL_LINE_BYTES,
    Control,
    FrameParser,
    Message,
    ProtocolError,
    header,
    publication,
)

words = st.text("abcXYZ019$_-.*>", min_size=1, max_size=12).map(str.encode)
payloads = st.one_of(st.binary(max_size=60), st.sampled_from([b"\r\n", b"MSG a 1 3\r\nabc\r\n", b"PING\r\n"]))
headers = st.one_of(
    st.just(b""), st.builds(lambda value: b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % value, words)
)
messages = st.builds(Message, words, words, st.one_of(st.just(b""), words), headers, payloads)
controls = st.one_of(
    st.sampled_from([Control(b"PING", b""), Control(b"PONG", b""), Control(b"+OK", b"")]),
    st.builds(Control, st.just(b"-ERR"), words),
    st.builds(Control, st.just(b"INFO"), words.map(lambda word: b'{"server_id":"%b"}' % word)),
)


def sent(frame: Message | Control) -> bytes:
    """The frame as a server sends it."""
    if isinstance(frame, Control):
        return b"%b %b\r\n" % frame if frame.argument else frame.verb + b"\r\n"
    reply = frame.reply + b" " if frame.reply else b""
    size = len(frame.headers) + len(frame.payload)
    if frame.headers:
        head = b"HMSG %b %b %b%d %d" % (frame.subject, frame.sid, reply, len(frame.headers), size)
    else:
        head = b"MSG %b %b %b%d" % (frame.subject, frame.sid, reply, size)
    return head + b"\r\n" + frame.headers + frame.payload + b"\r\n"


@given(st.lists(st.one_of(messages, controls), max_size=8), st.lists(st.integers(0, 400), max_size=8))
def test_any_frames_cut_at_any_places_parse_to_the_same_frames(frames, cuts):
    data = b"".join(map(sent, frames))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parser, parsed = FrameParser(), ([], [])
    for start, stop in itertools.pairwise(places):
        for known, new in zip(parsed, parser.feed(data[start:stop]), strict=True):
            known += new
    assert parsed[0] == [frame for frame in frames if isinstance(frame, Message)]
    assert parsed[1] == [frame for frame in frames if isinstance(frame, Control)]


@given(st.lists(messages, min_size=1, max_size=3))
def test_frames_that_come_byte_by_byte_parse_to_the_same_messages(frames):
    parser = FrameParser()
    parsed = [parser.feed(bytes([byte]))[0] for byte in b"".join(map(sent, frames))]
    assert [message for some in parsed for message in some] == frames


@pytest.mark.parametrize(
    "data",
    [
        b"HELLO\r\n",
        b"\r\n",
        b"msg a 1 0\r\n\r\n",
        b"MSG a 1\r\n",
        b"MSG a 1 r x 3\r\nabc\r\n",
        b"MSG a 1 -3\r\n",
        b"MSG a 1 3x\r\nabc\r\n",
        b"MSG a 1 3\r\nabcde\r\n",
        b"HMSG a 1 3\r\nabc\r\n",
        b"HMSG a 1 9 3\r\nabc\r\n",
        b"x" * (MAX_CONTROL_LINE_BYTES + 1),
    ],
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(ProtocolError):
        FrameParser().feed(data)


def test_a_header_is_found_by_its_name():
    headers = b"NATS/1.0\r\nX-Nats-Msg-Id:no\r\nNats-Msg-Id: a b \r\nLast:x\r\n\r\n"
    assert header(headers, b"Nats-Msg-Id") == b"a b"
    assert header(headers, b"Last") == b"x"
    assert header(headers, b"Nats-Msg") == b""


@pytest.mark.parametrize(
    "line, status", [(b"NATS/1.0 503", b"503"), (b"NATS/1.0 100 Idle", b"100"), (b"", b"")]
)
def test_a_status_is_in_the_first_header_line(line, status):
    assert Message(b"1", b"a", b"", line + b"\r\n\r\n" if line else b"", b"").status == status


def test_a_publication_states_its_sizes_in_bytes():
    assert publication("a.b", "r", "Key:é\r\n", b"xyz") == (
        b"HPUB a.b r 20 23\r\nNATS/1.0\r\nKey:\xc3\xa9\r\n\r\nxyz\r\n"
    )
    assert publication("a.b", "", "", b"") == b"HPUB a.b 12 12\r\nNATS/1.0\r\n\r\n\r\n"
