"""The receipt of a batch: its time, and everything that is filled in alike for all its events, made once."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from freshet.event.v1.event_pb2 import FILLED_FIELD_EVENT_ID, FILLED_FIELD_EVENT_TIME, UserEvent
from services.ingestion.cleaning.annotations import encoded

_ID_NOTE = encoded(FILLED_FIELD_EVENT_ID)
_TIME_NOTE = encoded(FILLED_FIELD_EVENT_TIME)


class Receipt:
    """now_ns: time of receipt, nanoseconds since 1970. redriven: whether these are dead letters that are sent again."""

    def __init__(self, now_ns: int, redriven: bool = False) -> None:
        self.redriven = redriven
        self.now_ms, self.seconds = now_ns // 1_000_000, now_ns / 1e9
        self.time = Timestamp()
        self.time.FromNanoseconds(now_ns)
        ingested = UserEvent(ingest_time=self.time).SerializeToString()
        timed = ingested + UserEvent(event_time=self.time).SerializeToString() + _TIME_NOTE
        self._tails = ((ingested, ingested + _ID_NOTE), (timed, timed + _ID_NOTE))

    def tail(self, lacks_time: bool, lacked_id: bool) -> bytes:
        """What to append to an event: ingest time always, event time where it lacks one, and the notes of both."""
        return self._tails[lacks_time][lacked_id]
