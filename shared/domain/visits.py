"""A user's visit: events that follow each other with no more than an idle time between them."""

from __future__ import annotations


class Visit:
    """The newest visit of a user. Times are event times in seconds since 1970."""

    __slots__ = ("last_seconds", "session_id", "start_seconds")

    def __init__(self, session_id: str, seconds: float) -> None:
        self.session_id = session_id
        self.start_seconds = seconds
        self.last_seconds = seconds

    def holds(self, seconds: float, idle_seconds: float) -> bool:
        """Whether an event at that time belongs to the visit."""
        return self.start_seconds - idle_seconds <= seconds <= self.last_seconds + idle_seconds

    def is_before(self, seconds: float, idle_seconds: float) -> bool:
        """Whether an event at that time belongs to an earlier visit."""
        return seconds < self.start_seconds - idle_seconds

    def go_on(self, seconds: float) -> None:
        """The visit holds an event at that time."""
        self.start_seconds = min(self.start_seconds, seconds)
        self.last_seconds = max(self.last_seconds, seconds)


def made_session_id(user_key: int, start_seconds: float) -> str:
    """The id of a visit that has none of its sender's: whoever sees it begin there gives it the same."""
    return f"{user_key:016x}-{int(start_seconds):x}"
