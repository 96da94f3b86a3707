"""Reversal events: facts that take other facts back, sent by a caller or written by cleaning itself.

A reversal's id is derived from the id of the event that it takes back, so there is one reversal of an event for good,
whoever asks for it and however often.
"""

from __future__ import annotations

from xxhash import xxh3_128_hexdigest

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import RECEIVE, annotate
from services.ingestion.cleaning.receipt import Receipt
from shared.adapters.codecs.keys import same_id
from shared.domain.events.event import EventType
from shared.domain.violation import Violation

REVERSAL = EventType.REVERSAL.word
FIELD = "corrects_event_id"


def reversal_id(event_id: str) -> str:
    """The id of the one reversal of an event: 41 characters, visible ASCII."""
    return f"reversal-{xxh3_128_hexdigest(event_id.encode())}"


def is_reversal(event: UserEvent) -> bool:
    """Whether the event takes back the one that it names."""
    return event.event_type == REVERSAL


def take_reversal_id(event: UserEvent) -> None:
    """Give a sender's reversal the id of the one reversal of its event."""
    event_id = reversal_id(event.corrects_event_id)
    if event.event_id not in ("", event_id):
        annotate(event, RECEIVE, "event_id", event.event_id)
    event.event_id = event_id


def original_violations(event: UserEvent, original: UserEvent | None) -> list[Violation]:
    """Why the reversal `event` may not take back `original`; None when there is no such event."""
    if original is None:
        return [Violation(FIELD, "names no event; check the id", "NOT_FOUND")]
    if not same_id(original.user_id, event.user_id):
        return [Violation(FIELD, "names an event of another user", "MISMATCH")]
    if is_reversal(original):
        return [Violation(FIELD, "names a reversal, which cannot be taken back", "NOT_REVERSIBLE")]
    return []


def complete_reversal(event: UserEvent, original: UserEvent) -> None:
    """Copy onto a reversal what the folds need of the event that it takes back, so that they need not look it up."""
    del event.items[:]
    event.items.extend(original.items)
    event.session_id = event.session_id or original.session_id
    event.corrected_event_type = original.event_type
    event.corrected_event_time.CopyFrom(original.event_time)


def own_reversal(original: UserEvent, step: str, receipt: Receipt, cause: UserEvent) -> UserEvent:
    """The reversal that `step` writes. cause: the event that showed it to be due, whose time it takes."""
    event = UserEvent(
        event_id=reversal_id(original.event_id),
        event_type=REVERSAL,
        user_id=original.user_id,
        corrects_event_id=original.event_id,
        ingest_time=receipt.time,
        event_time=cause.event_time if cause.HasField("event_time") else receipt.time,
    )
    complete_reversal(event, original)
    annotate(event, step, FIELD, "")
    return event
