"""The step `clamp-clock-skew`: a sender's clock that runs ahead."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import annotate
from services.ingestion.cleaning.receipt import Receipt
from shared.domain.presets.cleaning_steps import ClampClockSkew

_SECOND_NANOS = 1_000_000_000


def clamp_clock_skew(event: UserEvent, receipt: Receipt, allowed_seconds: float) -> bool:
    """Set an event time in the future, up to `allowed_seconds` ahead, to the time of receipt. Whether it was set.

    One that lies further ahead is left to validation, which refuses it.
    """
    moment, now = event.event_time, receipt.time
    if not event.HasField("event_time") or not 0 <= moment.nanos < _SECOND_NANOS:
        return False
    ahead = (moment.seconds, moment.nanos) > (now.seconds, now.nanos)
    if not ahead or moment.seconds > receipt.seconds + allowed_seconds:
        return False
    annotate(event, ClampClockSkew.word, "event_time", moment.ToJsonString())
    event.event_time.CopyFrom(now)
    return True
