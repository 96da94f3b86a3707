"""How much of a stream is kept. What is over a limit goes, the oldest first."""

from __future__ import annotations

from typing import NamedTuple

DAY_SECONDS = 86_400.0
MIB = 1024 * 1024


class Limit(NamedTuple):
    """max_bytes and max_age_seconds of one stream; 0 means no limit."""

    max_bytes: int
    max_age_seconds: float


class Retention(NamedTuple):
    """Limits of the streams that would grow for ever. The log itself has none: it is the truth.

    NATS sets `max_bytes` of disk space aside when it makes the stream.
    """

    rejected: Limit = Limit(256 * MIB, 30 * DAY_SECONDS)
    exposures: Limit = Limit(1024 * MIB, 90 * DAY_SECONDS)
    deltas: Limit = Limit(2048 * MIB, 7 * DAY_SECONDS)
