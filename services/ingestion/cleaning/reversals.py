"""Events that take back others."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from xxhash import xxh3_128_hexdigest

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.visitors import SeenEvent
from shared.domain.event import EventType
from shared.domain.violation import Violation

REVERSAL = EventType.REVERSAL.word


def reversal_id(event_id: str) -> str:
    """The id of the reversal of an event: always the same, so that there can be only one."""
    return f"reversal-{xxh3_128_hexdigest(event_id.encode())}"


def made_reversal(seen: SeenEvent, event_time: Timestamp) -> UserEvent:
    """The reversal of an event that ingestion itself takes back."""
    reversal = UserEvent.FromString(seen.items)
    reversal.event_id = reversal_id(seen.event_id)
    reversal.event_type = REVERSAL
    reversal.user_id = seen.user_id
    reversal.event_time.CopyFrom(event_time)
    reversal.corrects_event_id = seen.event_id
    reversal.corrected_event_type = seen.event_type
    reversal.corrected_event_time.FromNanoseconds(seen.time_ns)
    return reversal


def complete_reversal(reversal: UserEvent, original: UserEvent | None) -> Violation | None:
    """Put into a sender's reversal what it takes back, or say why it cannot be one."""
    if original is None:
        return Violation("corrects_event_id", "names no event that is in the log", "NOT_FOUND")
    if original.user_id != reversal.user_id:
        return Violation("corrects_event_id", "names an event of another user", "OTHER_USER")
    if original.event_type == REVERSAL:
        return Violation("corrects_event_id", "names a reversal, which cannot be taken back", "OUT_OF_RANGE")
    reversal.event_id = reversal_id(original.event_id)
    del reversal.items[:]
    reversal.items.extend(original.items)
    reversal.corrected_event_type = original.event_type
    reversal.corrected_event_time.CopyFrom(original.event_time)
    return None
