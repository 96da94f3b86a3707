"""How long users stayed, and clicks that they did not mean."""

from __future__ import annotations

import struct

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import EFFECTS, FILLED, TAKEN_BACK, filled
from services.ingestion.cleaning.visitors import SeenEvent, Visitor
from shared.domain.cleaning import CleaningRules

STEP, DROP_STEP = "fill-dwell", "drop-accidental-clicks"
_DWELL = struct.Struct("<f")
_DWELL_FIELD = b"\x8d\x01"
"""Tag of `previous_dwell_seconds`, field 17, a float."""
LONGEST_SECONDS = 1_800.0


class DwellWatch:
    """Looks at the time between two events of a user. Only event times that senders gave tell it, and two that are
    equal tell nothing: many clocks count whole seconds."""

    def __init__(self, rules: CleaningRules) -> None:
        drop = rules.drop_accidental_clicks
        self._fills = rules.fill_dwell is not None
        self._least_seconds = drop.least_dwell_seconds if drop is not None else 0.0
        self._clicks = frozenset(drop.event_types if drop is not None else ())
        self._annotation = filled(STEP, "previous_dwell_seconds")

    def fill(self, event: UserEvent, visitor: Visitor, time_ns: int) -> tuple[bytes, SeenEvent | None]:
        """Bytes to add to the event, and the event before it if that was an accidental click. time_ns: its event time,
        as its sender gave it."""
        before, visitor.timed = visitor.timed, self._seen(event, time_ns)
        if before is None:
            return b"", None
        dwell_seconds = (time_ns - before.time_ns) / 1e9
        if not 0 < dwell_seconds <= LONGEST_SECONDS or before.event_id == event.event_id:
            return b"", None
        accidental = before.event_type in self._clicks and dwell_seconds < self._least_seconds
        if accidental:
            EFFECTS.count(DROP_STEP, TAKEN_BACK)
        if not self._fills:
            return b"", before if accidental else None
        EFFECTS.count(STEP, FILLED)
        added = _DWELL_FIELD + _DWELL.pack(dwell_seconds) + self._annotation
        return added, before if accidental else None

    def _seen(self, event: UserEvent, time_ns: int) -> SeenEvent:
        """What is needed of the event when the next one comes: its items only if it may have been accidental."""
        if event.event_type in self._clicks:
            return SeenEvent.of(event, time_ns)
        return SeenEvent(event.event_id, event.event_type, event.user_id, time_ns, b"")
