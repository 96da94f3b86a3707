"""The consistency token: how far the log had come for each partition when a write was acknowledged.

Opaque to clients. Inside: a version byte, then (partition uint16, position uint64) pairs in ascending partition
order, big-endian, base64url without padding.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping

_VERSION = b"\x01"
_PAIR = struct.Struct(">HQ")
MOST_PARTITIONS = 1 << 16


class MalformedTokenError(ValueError):
    """The text is no consistency token."""


def encode_token(positions: Mapping[int, int]) -> str:
    """Token that covers `positions` (partition -> position); empty for no positions."""
    if not positions:
        return ""
    body = b"".join(_PAIR.pack(partition, positions[partition]) for partition in sorted(positions))
    return base64.urlsafe_b64encode(_VERSION + body).rstrip(b"=").decode()


def decode_token(token: str, partitions: int = MOST_PARTITIONS) -> dict[int, int]:
    """Positions by partition; empty for the empty token. partitions: of the log that the token is to be of.

    Raises MalformedTokenError, also for a token of more partitions: what it asks for, no answer could reflect.
    """
    if not token:
        return {}
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedTokenError("it is not base64url") from error
    if raw[:1] != _VERSION or len(raw) == 1 or (len(raw) - 1) % _PAIR.size:
        raise MalformedTokenError("it was not made by this version of Freshet")
    positions = dict(_PAIR.iter_unpack(raw[1:]))
    if max(positions) >= partitions:
        raise MalformedTokenError(f"it is of another log: this one has {partitions} partitions")
    return positions
