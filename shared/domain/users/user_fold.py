"""How events change the state of users. Pure in all but place: no clock, no randomness, no I/O.

Decision: events are folded in rounds. A round holds at most one event of each user, so that it is a handful of array
operations whatever its size, and still does exactly what one event after the other would: how the log is cut into
batches changes no byte. A session ends by 30 idle minutes or by another session id. A reversal, which bears the session
of what it takes back, is no part of any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared.domain.events.event import CORRECTS, EventType
from shared.domain.events.event_batch import EventBatch
from shared.domain.users.departed import Departed
from shared.domain.users.user_record import RECENT_EVENTS, history_of, write_history
from shared.domain.users.user_state import UserStates

SESSION_IDLE_MS = 30 * 60 * 1000
_CORRECTING = np.zeros(256, bool)
_CORRECTING[[*CORRECTS, EventType.REVERSAL]] = True


class TakenBack(NamedTuple):
    """An earlier effect that event number `event` of a batch takes back. time_ms: event time of what is taken back,
    None where the state no longer tells."""

    event: int
    item_key: int
    event_type: int
    time_ms: int | None


class Followed(NamedTuple):
    """In one visit, item `next_key` (n,) uint64 came right behind `item_key` (n,) by event number `event` (n,)."""

    event: np.ndarray
    item_key: np.ndarray
    next_key: np.ndarray


class UsersFolded(NamedTuple):
    """What folding a batch did. applied (E,) bool: False for events applied before. followed: in log order."""

    applied: np.ndarray
    taken_back: list[TakenBack]
    followed: Followed


def fold_users(users: UserStates, batch: EventBatch) -> UsersFolded:
    """Fold a batch. Raises KeyError when one of its users is away."""
    users.clock += 1
    rows = users.enter(batch.user_key)
    fold = _Fold(users, batch)
    applied = np.zeros(len(batch), bool)
    for events in rounds(rows):
        fresh = fold.refuse_known(events, rows[events])
        applied[fresh] = True
        if len(fresh):
            fold.fold_round(fresh, rows[fresh])
    users.changed[rows[applied]] = True
    return UsersFolded(applied, sorted(fold.taken_back, key=lambda each: each.event), fold.all_followed())


def rounds(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of events in log order, at most one of each row (n,) at a time; the first ones of all rows first."""
    if len(rows) <= 1:
        yield from [np.arange(1)] * len(rows)
        return
    order = np.argsort(rows, kind="stable")
    grouped = rows[order]
    begins = np.flatnonzero(np.concatenate([[True], grouped[1:] != grouped[:-1]]))
    if len(begins) == len(rows):
        yield np.arange(len(rows))
        return
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - np.repeat(begins, np.diff(np.append(begins, len(rows))))
    by_rank = np.argsort(rank, kind="stable")
    yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])


class _Fold:
    """One batch on its way into the users. `events` are numbers of events in the batch, `rows` their users' rows."""

    def __init__(self, users: UserStates, batch: EventBatch) -> None:
        self.users, self.batch, self.column = users, batch, users.column
        self.taken_back: list[TakenBack] = []
        self._followed: list[Followed] = []

    def refuse_known(self, events: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Those of `events` that their users do not remember; they do from now on."""
        keys = self.batch.event_key[events]
        fresh = ~(self.column["recent_event_key"][rows] == keys[:, None]).any(axis=1)
        events, rows, keys = events[fresh], rows[fresh], keys[fresh]
        total = self.column["total_count"][rows]
        self.column["recent_event_key"][rows, total % RECENT_EVENTS] = keys
        self.column["total_count"][rows] = total + 1
        return events

    def fold_round(self, events: np.ndarray, rows: np.ndarray) -> None:
        """Fold events of distinct users that are new to them."""
        event_type = self.batch.event_type[events]
        self._follow_session(events, rows)
        self.column["event_count"][rows, event_type] += 1
        for at in np.flatnonzero(_CORRECTING[event_type]).tolist():
            self.taken_back += _take_back(self.users, self.batch, int(events[at]), int(rows[at]))
        remembered = self.users.preset.in_history[event_type]
        self._remember_all(events[remembered], rows[remembered])

    def _follow_session(self, events: np.ndarray, rows: np.ndarray) -> None:
        column, time_ms, key = self.column, self.batch.time_ms[events], self.batch.session_key[events]
        last, known = column["last_time_ms"][rows], column["total_count"][rows] > 1
        idle = time_ms - last > SESSION_IDLE_MS
        acts = self.batch.event_type[events] != EventType.REVERSAL
        goes_on = known & (~acts | np.where(key != 0, key == column["session_key"][rows], ~idle))
        begins = rows[~goes_on]
        column["session_key"][begins] = key[~goes_on]
        column["session_start_ms"][begins] = time_ms[~goes_on]
        column["session_event_count"][begins] = 0
        column["session_entries"][begins] = 0
        column["session_event_count"][rows] += acts
        first = column["first_time_ms"][rows]
        column["first_time_ms"][rows] = np.where(known, np.minimum(first, time_ms), time_ms)
        column["last_time_ms"][rows] = np.where(known, np.maximum(last, time_ms), time_ms)

    def _remember_all(self, events: np.ndarray, rows: np.ndarray) -> None:
        """Put the events' items into the histories: the first item of each event, then the second, and so on."""
        if not len(events):
            return
        start, count = self.batch.item_start[events], self.batch.item_counts[events]
        if (count == 1).all():
            return self._remember(events, rows, start)
        for number in range(int(count.max())):
            has = count > number
            self._remember(events[has], rows[has], start[has] + number)

    def _remember(self, events: np.ndarray, rows: np.ndarray, items: np.ndarray) -> None:
        """One history entry for each of `events`, about the item of number `items` in the batch."""
        column, batch, length = self.column, self.batch, self.users.history_length
        place, held = column["history_end"][rows], column["history_held"][rows]
        self._follow(events, rows, batch.item_key[items])
        full = held == length
        if full.any():
            _depart(self.users, rows[full], place[full])
        column["item_key"][rows, place] = batch.item_key[items]
        column["value"][rows, place] = batch.value[items]
        column["time_ms"][rows, place] = batch.time_ms[events]
        column["event_type"][rows, place] = batch.event_type[events]
        column["history_end"][rows] = (place + 1) % length
        column["history_held"][rows] = np.minimum(held + 1, length)
        column["session_entries"][rows] = np.minimum(column["session_entries"][rows] + 1, length)

    def _follow(self, events: np.ndarray, rows: np.ndarray, item_key: np.ndarray) -> None:
        """Note which item each of `item_key` comes behind in its visit."""
        column, length = self.column, self.users.history_length
        before = column["item_key"][rows, (column["history_end"][rows] + (length - 1)) % length]
        follows = (column["session_entries"][rows] > 0) & (before != item_key)
        self._followed.append(Followed(events[follows], before[follows], item_key[follows]))

    def all_followed(self) -> Followed:
        """What was noted, in log order: rounds take the events in another one."""
        if not self._followed:
            return Followed(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint64))
        if len(self._followed) == 1:
            return self._followed[0]
        joined = [np.concatenate(columns) for columns in zip(*self._followed, strict=True)]
        order = np.argsort(joined[0], kind="stable")
        return Followed(*[column[order] for column in joined])


def _depart(users: UserStates, rows: np.ndarray, places: np.ndarray) -> None:
    """Keep the consumed items among the entries that are about to leave their histories."""
    consumed = users.preset.consumes[users.column["event_type"][rows, places]]
    rows, places = rows[consumed], places[consumed]
    about = [users.column[name][rows, places].tolist() for name in ("item_key", "event_type")]
    for user_key, item_key, event_type in zip(users.column["user_key"][rows].tolist(), *about, strict=True):
        if (departed := users.departed.get(user_key)) is None:
            departed = users.departed[user_key] = Departed()
        departed.add(item_key, event_type)


def _take_back(users: UserStates, batch: EventBatch, event: int, row: int) -> list[TakenBack]:
    """Undo what the event corrects, as far as the state still knows of it."""
    is_reversal = batch.event_type[event] == EventType.REVERSAL
    corrected = int(batch.corrected_type[event]) if is_reversal else int(CORRECTS[batch.event_type[event]])
    time_ms = int(batch.corrected_time_ms[event]) if is_reversal else None
    items = batch.item_key[batch.item_start[event] : batch.item_start[event + 1]].tolist()
    effects = [each for item in items if (each := _undo(users, row, event, (item, corrected, time_ms)))]
    whole = is_reversal or (effects and not _something_is_left(users, row, effects))
    if whole and users.column["event_count"][row, corrected]:
        users.column["event_count"][row, corrected] -= 1
    return effects


def _something_is_left(users: UserStates, row: int, effects: list[TakenBack]) -> bool:
    """Whether the history still holds something of the events that are taken back: a purchase of three items of which
    one is refunded is a purchase."""
    history = history_of(users.records[row])
    times = [each.time_ms for each in effects if each.time_ms is not None]
    return bool(((history["event_type"] == effects[0].event_type) & np.isin(history["time_ms"], times)).any())


def _undo(users: UserStates, row: int, event: int, what: tuple[int, int, int | None]) -> TakenBack | None:
    """Take one item out of the history or the departed consumed ones. None when nothing is known of it."""
    item_key, event_type, time_ms = what
    found_ms = _forget(users, row, what)
    if found_ms is not None:
        return TakenBack(event, item_key, event_type, found_ms)
    departed = users.departed.get(int(users.column["user_key"][row]))
    if departed is not None and departed.take_back(item_key, event_type):
        return TakenBack(event, item_key, event_type, time_ms)
    if time_ms is not None and not users.preset.in_history[event_type]:
        return TakenBack(event, item_key, event_type, time_ms)
    return None


def _forget(users: UserStates, row: int, what: tuple[int, int, int | None]) -> int | None:
    """Remove the newest history entry of that item and type (and time, if given); the time it had, else None."""
    item_key, event_type, time_ms = what
    history = history_of(users.records[row])
    fits = (history["item_key"] == item_key) & (history["event_type"] == event_type)
    if time_ms is not None:
        fits &= history["time_ms"] == time_ms
    if not fits.any():
        return None
    at = int(np.flatnonzero(fits)[-1])
    if len(history) - at <= users.column["session_entries"][row]:
        users.column["session_entries"][row] -= 1
    write_history(users.records[row], np.delete(history, at))
    return int(history["time_ms"][at])
