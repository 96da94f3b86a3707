"""Times and events of the tests of cleaning."""

from __future__ import annotations

import itertools

from google.protobuf.timestamp_pb2 import Timestamp

from freshet.event.v1.event_pb2 import UserEvent
from tests.builders import message

NOW_MS = 1_750_000_000_000
"""Time of receipt."""
START_MS = 1_700_000_000_000
_numbers = itertools.count(1)


def moment(time_ms: int) -> Timestamp:
    """Milliseconds since 1970 as events carry them."""
    made = Timestamp()
    made.FromMilliseconds(time_ms)
    return made


def at(seconds: float, event_type: str = "click", **fields) -> UserEvent:
    """A new event so many seconds after the start, by its sender's clock."""
    time = moment(START_MS + round(seconds * 1000))
    return message(event_type, event_time=time, **{"event_id": f"e{next(_numbers)}", **fields})


def untimed(event_type: str = "click", **fields) -> UserEvent:
    """A new event whose sender gave no time."""
    event = message(event_type, **{"event_id": f"e{next(_numbers)}", **fields})
    event.ClearField("event_time")
    return event
