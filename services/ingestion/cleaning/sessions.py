"""Visits of users whose senders do not tell them apart."""

from __future__ import annotations

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.annotations import EFFECTS, FILLED, filled
from services.ingestion.cleaning.visitors import Visitor
from shared.domain.cleaning import FillSession
from shared.domain.visits import Visit, made_session_id

STEP = "fill-session"
_SESSION_FIELD = b"\x22"
"""Tag of `session_id`, field 4, a text."""


class SessionFiller:
    """Gives events the session of their visit. A session of the sender's begins a visit, or goes on with it."""

    def __init__(self, rule: FillSession) -> None:
        self._idle_seconds = rule.idle_minutes * 60.0
        self._annotation = filled(STEP, "session_id")

    def fill(self, event: UserEvent, visitor: Visitor, user_key: int, seconds: float) -> bytes:
        """Bytes to add to the event: its session, when it has none. seconds: its event time."""
        if session_id := event.session_id:
            self._follow(visitor, session_id, seconds)
            return b""
        encoded = self._session(visitor, user_key, seconds).encode()
        EFFECTS.count(STEP, FILLED)
        return b"%b%c%b%b" % (_SESSION_FIELD, len(encoded), encoded, self._annotation)

    def _follow(self, visitor: Visitor, session_id: str, seconds: float) -> None:
        visit = visitor.visit
        if visit is None or visit.session_id != session_id:
            visitor.visit = Visit(session_id, seconds)
        else:
            visit.go_on(seconds)

    def _session(self, visitor: Visitor, user_key: int, seconds: float) -> str:
        visit = visitor.visit
        if visit is not None:
            if visit.holds(seconds, self._idle_seconds):
                visit.go_on(seconds)
                return visit.session_id
            if visit.is_before(seconds, self._idle_seconds):
                return made_session_id(user_key, seconds)
        visitor.visit = Visit(made_session_id(user_key, seconds), seconds)
        return visitor.visit.session_id
