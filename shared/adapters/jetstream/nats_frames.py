"""The frames of the NATS client protocol: bytes to messages and back, without any I/O.

Decision: one `find` and one `split` per frame, and headers stay bytes until somebody asks for one. A regular
expression per frame and a dictionary of headers per message, as general clients have them, cost several times as much,
and the log carries every event twice.
"""

from __future__ import annotations

from typing import NamedTuple

_END = b"\r\n"
MAX_CONTROL_LINE_BYTES = 1 << 20
"""INFO is the longest line; that of a large cluster takes some kilobytes."""
_CONTROL = frozenset((b"INFO", b"PING", b"PONG", b"+OK", b"-ERR"))


class ProtocolError(ValueError):
    """The peer sent what is no frame of the protocol; nothing behind it can be read."""


class Message(NamedTuple):
    """A message that a subscription received. sid: of the subscription; reply, headers: empty for none."""

    sid: bytes
    subject: bytes
    reply: bytes
    headers: bytes
    payload: bytes

    @property
    def status(self) -> bytes:
        """The status in the first header line, for example b"503"; empty for none."""
        return self.headers[9:12].strip() if self.headers.startswith(b"NATS/1.0 ") else b""


class Control(NamedTuple):
    """Any other frame: INFO, PING, PONG, +OK or -ERR, and what follows the verb."""

    verb: bytes
    argument: bytes


class FrameParser:
    """Takes bytes as they come, cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> tuple[list[Message], list[Control]]:
        """The messages and the control frames that are complete now, each in order. Raises ProtocolError."""
        if self._rest:
            data = self._rest + data
        messages: list[Message] = []
        controls: list[Control] = []
        at = 0
        while (end := data.find(_END, at)) >= 0:
            words = data[at:end].split()
            verb = words[0] if words else b""
            if verb != b"HMSG" and verb != b"MSG":
                controls.append(_control(verb, data[at:end]))
                at = end + 2
                continue
            start = end + 2
            with_headers = verb == b"HMSG"
            try:
                stop = start + int(words[-1])
                body = start + int(words[-2]) if with_headers else start
            except ValueError:
                raise _malformed(words) from None
            number = len(words) - with_headers
            if not start <= body <= stop or not 4 <= number <= 5:
                raise _malformed(words)
            if len(data) < stop + 2:
                break
            if data[stop : stop + 2] != _END:
                raise ProtocolError(f"no end of line behind the payload of {data[at:end]!r}")
            reply = words[3] if number == 5 else b""
            messages.append(Message(words[2], words[1], reply, data[start:body], data[body:stop]))
            at = stop + 2
        self._rest = data[at:]
        if end < 0 and len(self._rest) > MAX_CONTROL_LINE_BYTES:
            raise ProtocolError("a control line has no end")
        return messages, controls


def _malformed(words: list[bytes]) -> ProtocolError:
    return ProtocolError(f"malformed frame {b' '.join(words)[:200]!r}")


def _control(verb: bytes, line: bytes) -> Control:
    if verb not in _CONTROL:
        raise ProtocolError(f"unknown frame {line[:200]!r}")
    return Control(verb, line.partition(b" ")[2].strip())


def header(headers: bytes, name: bytes) -> bytes:
    """The value of the first header of that name, in its usual spelling; empty for none."""
    found = headers.find(b"\r\n" + name + b":")
    if found < 0:
        return b""
    start = found + len(name) + 3
    return headers[start : headers.find(_END, start)].strip()


def publication(subject: str, reply: str, headers: str, payload: bytes) -> bytes:
    """An HPUB frame. headers: lines that end with CRLF each, without the version line."""
    head = f"NATS/1.0\r\n{headers}\r\n".encode()
    size = len(head)
    return b"HPUB %b %b%d %d\r\n%b%b\r\n" % (
        subject.encode(),
        reply.encode() + b" " if reply else b"",
        size,
        size + len(payload),
        head,
        payload,
    )
