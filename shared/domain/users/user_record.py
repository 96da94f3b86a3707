"""What is kept of one user: a record of fixed size, about 1.4 KB with a history of 50."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.domain.events.event import EVENT_TYPE_CODES

RECENT_EVENTS = 32
"""How many event keys a user's record remembers, to know a second delivery by."""

HISTORY_ENTRY = np.dtype([("item_key", "<u8"), ("time_ms", "<i8"), ("value", "<f4"), ("event_type", "u1")])
"""One event about one item, as read."""


def user_record(history_length: int) -> np.dtype:
    """The record of one user with room for `history_length` history entries, which lie in a ring.

    It is a multiple of 8 bytes without gaps between or behind the fields: numpy does not copy what lies in gaps, and
    digests are taken of all bytes.
    """
    fields = np.dtype(
        [
            ("user_key", "<u8"),
            ("first_time_ms", "<i8"),
            ("last_time_ms", "<i8"),
            ("session_key", "<u8"),
            ("session_start_ms", "<i8"),
            ("recent_event_key", "<u8", (RECENT_EVENTS,)),
            ("item_key", "<u8", (history_length,)),
            ("time_ms", "<i8", (history_length,)),
            ("value", "<f4", (history_length,)),
            ("event_count", "<u4", (EVENT_TYPE_CODES,)),
            ("total_count", "<u4"),
            ("session_event_count", "<u4"),
            ("session_entries", "<u2"),  # how many of the newest history entries belong to the session
            ("history_end", "<u2"),  # the place that the next entry takes
            ("history_held", "<u2"),
            ("event_type", "u1", (history_length,)),
        ]
    )
    unused = -fields.itemsize % 8
    return np.dtype([*fields.descr, *([("unused", "u1", (unused,))] if unused else [])], align=True)


class UserView(NamedTuple):
    """A copy of one user's state.

    history (n,) HISTORY_ENTRY, oldest first; event_count (24,) uint32 by event type code, less what was taken back;
    consumed (m,) uint64, distinct. Times are event times in milliseconds since 1970. The session is the newest one:
    its first event's time, how many events, and how many of the newest history entries belong to it.
    """

    history: np.ndarray
    event_count: np.ndarray
    consumed: np.ndarray
    first_time_ms: int
    last_time_ms: int
    session_start_ms: int
    session_event_count: int
    session_entries: int


def history_of(record: np.void) -> np.ndarray:
    """The history entries (n,) HISTORY_ENTRY of one record, oldest first, as a copy."""
    places = ring_places(record["history_end"], record["history_held"], len(record["item_key"]))
    history = np.empty(len(places), HISTORY_ENTRY)
    for name in HISTORY_ENTRY.names or ():
        history[name] = record[name][places]
    return history


def ring_places(end: int, held: int, length: int) -> np.ndarray:
    """Places (held,) of a ring of `length`, the oldest first, whose next entry goes to `end`."""
    return (int(end) - int(held) + np.arange(int(held))) % length


def write_history(record: np.void, history: np.ndarray) -> None:
    """Put `history` (n,) HISTORY_ENTRY, oldest first, in place of what the record holds."""
    for name in HISTORY_ENTRY.names or ():
        record[name] = 0
        record[name][: len(history)] = history[name]
    record["history_held"] = len(history)
    record["history_end"] = len(history) % len(record["item_key"])
