"""Senders whose clocks are a little ahead."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import annotate

STEP = "clamp-clock-skew"


def clamp_clock_skew(event: UserEvent, now_ns: int) -> None:
    """An event time ahead of the time of receipt becomes that. How far ahead it may be, validation says."""
    if event.HasField("event_time") and event.event_time.ToNanoseconds() > now_ns:
        annotate(event, STEP, "event_time", event.event_time.ToJsonString())
        event.event_time.FromNanoseconds(now_ns)
