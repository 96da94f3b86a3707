"""The step `drop-accidental-clicks`.

A click is accidental when the user goes on to something else in less than the least dwell. An event about the same item
is no going on: it shows that the click was meant. What is merely shown to a user (impressions) says nothing either way,
nor do equal times, whose sender may know no more than the second or the day.
"""

from __future__ import annotations

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.draft import Draft
from shared.domain.events.event import EventType
from shared.domain.presets.cleaning_steps import DropAccidentalClicks
from shared.domain.visits import Visit

_SHOWN = frozenset({EventType.VIEW_ITEM_LIST.word, EventType.AD_IMPRESSION.word})


class AccidentalClicks:
    """Decides by the newest click of a visit and the event that follows it."""

    def __init__(self, step: DropAccidentalClicks) -> None:
        self._words = frozenset(each.word for each in step.types)
        self._least_ms = step.least_dwell_seconds * 1000.0

    def remember(self, visit: Visit, event_type: str, payload: bytes) -> None:
        """Keep the visit's newest event if it is a click with a time from its sender."""
        if visit.told and event_type in self._words:
            visit.click, visit.click_ms = payload, visit.newest_ms

    def taken_back(self, visit: Visit, draft: Draft) -> UserEvent | None:
        """The click that the event of `draft` shows to be accidental. A click is judged by one event only."""
        if visit.click is None or draft.event.event_type in _SHOWN:
            return None
        dwell_ms = draft.time_ms - visit.click_ms
        if dwell_ms < 0:
            return None
        payload, visit.click = visit.click, None
        if not draft.told or not 0 < dwell_ms < self._least_ms:
            return None
        click = UserEvent.FromString(payload)
        return None if _share_an_item(click, draft.event) else click


def _share_an_item(one: UserEvent, other: UserEvent) -> bool:
    clicked = {item.item_id for item in one.items}
    return any(item.item_id in clicked for item in other.items)
