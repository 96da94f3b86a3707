"""Visits of users: which events belong together, by event time. Pure: numbers and ids, no clock.

An event goes on with its user's newest visit when it names that visit's session, or names none and lies within the
idle time of the visit's newest event, before or after it. Any other event begins a visit. The newest event in log order
decides which visit is the newest, so that the same state comes back from the log after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from shared.domain.lru import LeastRecentlyUsed


@dataclass(slots=True)
class Visit:
    """The newest visit of a user.

    newest_ms: latest event time in it, milliseconds since 1970. told: whether its sender gave that time. click,
    click_ms: the newest event that may turn out to be accidental, as the caller keeps it, and its event time; None for
    no such event. mark: whatever the caller keeps with the visit, empty at its start.
    """

    session_id: str
    newest_ms: int
    told: bool
    click: bytes | None = None
    click_ms: int = 0
    mark: bytes = b""


class Arrival(NamedTuple):
    """Where an event belongs. dwell_ms: from the visit's newest event to this one, 0 or more; None when there is none
    before it, when it came late, or when one of the two event times is not the sender's."""

    visit: Visit
    dwell_ms: int | None


def derived_session_id(user_key: int, start_ms: int) -> str:
    """The session id of a visit that nobody named, the same on every instance. start_ms: time of its first event."""
    return f"visit-{user_key:016x}-{start_ms:x}"


class VisitTracker:
    """The newest visits of at most `capacity` users, the least recently seen ones forgotten. idle_ms: above 0."""

    def __init__(self, idle_ms: int, capacity: int) -> None:
        self._idle_ms = idle_ms
        self._visits: LeastRecentlyUsed[int, Visit] = LeastRecentlyUsed(capacity)

    def knows(self, user_key: int) -> bool:
        """Whether the user's newest visit is here."""
        return user_key in self._visits

    def restore(self, user_key: int, visit: Visit) -> None:
        """Put back a visit that was looked up elsewhere, unless a newer one is here."""
        if user_key not in self._visits:
            self._visits.put(user_key, visit)

    def forget(self, user_key: int) -> None:
        """Know nothing of a user any more."""
        self._visits.drop(user_key)

    def enter(self, user_key: int, session_id: str, time_ms: int, told: bool) -> Arrival:
        """Take in an event. session_id: the sender's, empty for none; told: whether time_ms is the sender's."""
        visit = self._visits.get(user_key)
        if visit is None or not self._goes_on(visit, session_id, time_ms):
            visit = Visit(session_id or derived_session_id(user_key, time_ms), time_ms, told)
            self._visits.put(user_key, visit)
            return Arrival(visit, None)
        passed_ms = time_ms - visit.newest_ms
        if passed_ms < 0:
            return Arrival(visit, None)
        dwell_ms = passed_ms if told and visit.told else None
        visit.newest_ms, visit.told = time_ms, told
        return Arrival(visit, dwell_ms)

    def _goes_on(self, visit: Visit, session_id: str, time_ms: int) -> bool:
        if session_id:
            return session_id == visit.session_id
        return -self._idle_ms <= time_ms - visit.newest_ms <= self._idle_ms
