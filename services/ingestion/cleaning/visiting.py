"""The steps that see an event within its visit: `fill-session`, `fill-dwell` and `drop-accidental-clicks`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from freshet.event.v1.event_pb2 import (
    FILLED_FIELD_EVENT_TIME,
    FILLED_FIELD_PREVIOUS_DWELL,
    FILLED_FIELD_SESSION_ID,
    UserEvent,
)
from services.ingestion.cleaning.accidental_clicks import AccidentalClicks
from services.ingestion.cleaning.annotations import FILLED, Tally, encoded
from services.ingestion.cleaning.draft import Draft
from shared.adapters.codecs.event_codec import time_ms
from shared.domain.presets.cleaning_steps import CleaningSteps, DropAccidentalClicks, FillDwell, FillSession
from shared.domain.visits import Visit, VisitTracker, derived_session_id

_SESSION_NOTE = encoded(FILLED_FIELD_SESSION_ID)
_DWELL = struct.Struct("<2sf")
_DWELL_TAG = b"\x8d\x01"  # field 17, a float
_SESSION_FILLED, _DWELL_FILLED = (FillSession.word, FILLED), (FillDwell.word, FILLED)
_DWELL_NOTE = encoded(FILLED_FIELD_PREVIOUS_DWELL)


class Visiting:
    """Visits of at most `users` users. What is not here is asked of the archive, by who calls."""

    def __init__(self, steps: CleaningSteps, users: int) -> None:
        idle_minutes = (steps.fill_session or FillSession()).idle_minutes
        self._visits = VisitTracker(int(idle_minutes * 60_000), users)
        self._fills_session = steps.fill_session is not None
        self._fills_dwell = steps.fill_dwell is not None
        step = steps.drop_accidental_clicks
        self._clicks = AccidentalClicks(step or DropAccidentalClicks(types=()))

    def missed(self, drafts: Iterable[Draft]) -> list[int]:
        """Keys of users whose newest visit is not known here."""
        knows = self._visits.knows
        return list({draft.user_key for draft in drafts if not knows(draft.user_key)})

    def restore(self, newest: Mapping[int, bytes]) -> None:
        """Take up visits from the newest events of users, by user key, as they lie in the log."""
        for user_key, payload in newest.items():
            event = UserEvent.FromString(payload)
            at_ms = time_ms(event)
            session_id = event.session_id or derived_session_id(user_key, at_ms)
            visit = Visit(session_id, at_ms, _time_is_the_senders(event))
            self._clicks.remember(visit, event.event_type, payload)
            self._visits.restore(user_key, visit)

    def enter(self, draft: Draft, tally: Tally) -> Visit:
        """Take in an event and append what its visit tells to its tail."""
        session_id = draft.session_id
        visit, dwell_ms = self._visits.enter(draft.user_key, session_id, draft.time_ms, draft.told)
        if not session_id and self._fills_session:
            visit.mark = visit.mark or _session_tail(visit.session_id)
            draft.tail += visit.mark
            tally.counts[_SESSION_FILLED] += 1
        if dwell_ms is not None and self._fills_dwell:
            draft.tail += _DWELL.pack(_DWELL_TAG, dwell_ms / 1000.0) + _DWELL_NOTE
            tally.counts[_DWELL_FILLED] += 1
        return visit

    def taken_back(self, visit: Visit, draft: Draft) -> UserEvent | None:
        """The earlier click that this event shows to be accidental; None for none."""
        return self._clicks.taken_back(visit, draft)

    def remember(self, visit: Visit, draft: Draft) -> None:
        """Keep the event, whose entry is made, if it is a click that may turn out to be accidental."""
        if draft.entry is not None and visit.newest_ms == draft.time_ms:
            self._clicks.remember(visit, draft.entry.event_type, draft.entry.payload)

    def forget(self, user_key: int) -> None:
        """Know nothing of a user any more; the archive is asked next time."""
        self._visits.forget(user_key)


def _session_tail(session_id: str) -> bytes:
    """The session and the note of it; made once per visit."""
    return UserEvent(session_id=session_id).SerializeToString() + _SESSION_NOTE


def _time_is_the_senders(event: UserEvent) -> bool:
    """Neither filled in nor clamped."""
    filled = FILLED_FIELD_EVENT_TIME in event.filled_fields
    return not filled and all(each.field != "event_time" for each in event.cleaning)
