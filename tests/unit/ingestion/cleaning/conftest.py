"""A cleaner with the steps of a preset, and one call of it at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from freshet.event.v1 import event_pb2
from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import Tally
from services.ingestion.cleaning.cleaner import Batch, Cleaner
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.receipt import Receipt
from tests.unit.ingestion.cleaning.moments import NOW_MS
from tests.unit.ingestion.intakes import cleaner, steps


@dataclass
class Cleaning:
    """Cleans batches one after the other and remembers what went into the log."""

    cleaner: Cleaner
    log: list[UserEvent] = field(default_factory=list)

    def drafts(self, *events: UserEvent, source: str = "", now_ms: int = NOW_MS) -> list[Draft]:
        """One call: the drafts afterwards. Originals of reversals are found in the log."""
        receipt, logged = Receipt(now_ms * 1_000_000), {each.event_id: each for each in self.log}
        batch = Batch(receipt, logged.__contains__, [source] * len(events))
        drafts = [self.cleaner.draft(event, receipt, batch.tally) for event in events]
        for draft in drafts:
            draft.original = logged.get(draft.event.corrects_event_id)
        self.cleaner.clean(drafts, batch)
        new = [*batch.entries.values(), *[each.event for each in batch.reversals]]
        self.log += [UserEvent.FromString(each.payload) for each in new if each.event_id not in logged]
        return drafts

    def clean(self, event: UserEvent) -> UserEvent:
        """The event as it goes into the log."""
        draft = self.drafts(event)[0]
        assert draft.entry is not None, draft.violations
        return UserEvent.FromString(draft.entry.payload)

    def refusals(self, *events: UserEvent, **fields) -> list[list[tuple[str, str]]]:
        """Fields and reasons of each event."""
        return [
            [(each.field, each.reason) for each in draft.violations]
            for draft in self.drafts(*events, **fields)
        ]

    def reversed_ids(self) -> list[str]:
        """Ids of the events that cleaning took back, in order."""
        return [each.corrects_event_id for each in self.log if each.event_type == "reversal"]


FILLS = {
    event_pb2.FILLED_FIELD_EVENT_ID: ("receive", "event_id", ""),
    event_pb2.FILLED_FIELD_EVENT_TIME: ("receive", "event_time", ""),
    event_pb2.FILLED_FIELD_SESSION_ID: ("fill-session", "session_id", ""),
    event_pb2.FILLED_FIELD_PLACEMENT: ("fill-defaults", "placement", ""),
    event_pb2.FILLED_FIELD_DEVICE: ("fill-defaults", 'attributes["device"]', ""),
    event_pb2.FILLED_FIELD_PREVIOUS_DWELL: ("fill-dwell", "previous_dwell_seconds", ""),
}


def notes(event: UserEvent) -> list[tuple[str, str, str]]:
    """Step, field and original of each change, and the step and field of each fill."""
    changes = [(each.step, each.field, each.original) for each in event.cleaning]
    return changes + [FILLS[each] for each in event.filled_fields]


@pytest.fixture
def cleaning() -> Callable[..., Cleaning]:
    """Makes a cleaning of the steps named."""

    def make(*words: str, users: int = 1_000, **parameters: dict) -> Cleaning:
        return Cleaning(cleaner(steps(*words, **parameters), users))

    return make


def receipt() -> tuple[Receipt, Tally]:
    """What a draft needs."""
    return Receipt(NOW_MS * 1_000_000), Tally()
