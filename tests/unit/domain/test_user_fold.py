"""What events do to a user's state, against a plain model that takes one event after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.event import CORRECTS, Event, EventType, ItemReference
from shared.domain.fold.state import fold_events
from shared.domain.users.user_fold import SESSION_IDLE_MS, rounds
from shared.domain.users.user_record import RECENT_EVENTS
from tests.builders import DAY_MS, START_MS, VIDEO, event, state
from tests.unit.domain.strategies import logs, reversal

LENGTH = 4
MINUTE_MS = 60_000


@dataclass
class Model:
    """One user, in lists. Entries are (item, type, time)."""

    history: list[tuple[int, int, int]] = field(default_factory=list)
    departed: dict[int, set[int]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    keys: list[int] = field(default_factory=list)
    session: tuple[int, int] = (0, 0)
    session_events: int = 0
    times: list[int] = field(default_factory=list)

    def apply(self, each: Event) -> None:
        if each.event_key in self.keys[-RECENT_EVENTS:]:
            return
        self.keys.append(each.event_key)
        self._visit(each)
        self.times.append(each.time_ms)
        self.counts[each.event_type] = self.counts.get(each.event_type, 0) + 1
        self._correct(each)
        if VIDEO.in_history[each.event_type]:
            for item in each.items:
                self._remember((item.item_key, int(each.event_type), each.time_ms))

    def _visit(self, each: Event) -> None:
        is_reversal = each.event_type == EventType.REVERSAL
        if is_reversal:
            goes_on = bool(self.times)
        elif each.session_key:
            goes_on = bool(self.times) and each.session_key == self.session[0]
        else:
            goes_on = bool(self.times) and each.time_ms - max(self.times) <= SESSION_IDLE_MS
        if not goes_on:
            self.session, self.session_events = (each.session_key, each.time_ms), 0
        self.session_events += not is_reversal

    def _remember(self, entry: tuple[int, int, int]) -> None:
        self.history.append(entry)
        if len(self.history) > LENGTH:
            item, kind, _ = self.history.pop(0)
            if VIDEO.consumes[kind]:
                self.departed.setdefault(item, set()).add(kind)

    def _correct(self, each: Event) -> None:
        is_reversal = each.event_type == EventType.REVERSAL
        if not is_reversal and each.event_type not in CORRECTS:
            return
        kind = each.corrected_type if is_reversal else int(CORRECTS[each.event_type])
        time_ms = each.corrected_time_ms if is_reversal else None
        undone = [self._undo(item.item_key, kind, time_ms) for item in each.items]
        left = any((kind, time) == entry[1:] for entry in self.history for time in undone)
        if self.counts.get(kind) and (is_reversal or (any(undone) and not left)):
            self.counts[kind] -= 1

    def _undo(self, item: int, kind: int, time_ms: int | None) -> int | bool:
        """When that was which is undone; True where nobody knows, False for nothing."""
        for entry in reversed(self.history):
            if entry[:2] == (item, kind) and time_ms in (None, entry[2]):
                index = len(self.history) - 1 - self.history[::-1].index(entry)
                del self.history[index]
                return entry[2]
        if kind in self.departed.get(item, ()):
            self.departed[item].remove(kind)
            self.departed = {each: kinds for each, kinds in self.departed.items() if kinds}
            return True
        return time_ms is not None and not VIDEO.in_history[kind]


@given(logs())
def test_the_fold_does_what_the_plain_model_does(log):
    folded, models = fold_events(state(LENGTH), log), {}
    for each in log:
        models.setdefault(each.user_key, Model()).apply(each)
    assert set(folded.users.keys().tolist()) == set(models)
    for user_key, model in models.items():
        user = folded.users.read(user_key)
        assert [
            tuple(row) for row in user.history[["item_key", "event_type", "time_ms"]].tolist()
        ] == model.history
        assert folded.users.departed_of(user_key).tolist() == list(model.departed)
        assert {code: n for code, n in enumerate(user.event_count.tolist()) if n} == {
            int(kind): n for kind, n in model.counts.items() if n
        }
        assert (user.session_start_ms, user.session_event_count) == (model.session[1], model.session_events)
        assert (user.first_time_ms, user.last_time_ms) == (min(model.times), max(model.times))


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_round_holds_each_row_once_and_rounds_keep_the_order_of_each(rows):
    taken = list(rounds(np.array(rows, np.int32)))
    assert all(len(set(np.array(rows)[each])) == len(each) for each in taken)
    flat = [int(number) for each in taken for number in each]
    assert sorted(flat) == list(range(len(rows)))
    for row in set(rows):
        mine = [number for number in flat if rows[number] == row]
        assert mine == sorted(mine)


def consumed(*log: Event) -> list[int]:
    return fold_events(state(LENGTH), list(log)).users.read(7).consumed.tolist()


def test_a_refund_takes_the_purchase_back():
    bought = event(1, event_type=EventType.PURCHASE, items=(5,))
    refunded = event(2, event_type=EventType.REFUND, items=(5,))
    assert (consumed(bought), consumed(bought, refunded)) == ([5], [])


def test_a_purchase_counts_until_all_of_it_is_refunded():
    bought = event(1, event_type=EventType.PURCHASE, items=(5, 6))
    parts = [event(n, event_type=EventType.REFUND, items=(item,)) for n, item in ((2, 5), (3, 6))]
    counts = [
        fold_events(state(), [bought, *parts[:n]]).users.read(7).event_count[EventType.PURCHASE]
        for n in range(3)
    ]
    assert counts == [1, 1, 0]


def test_a_refund_of_a_purchase_that_has_left_the_history_counts_too():
    bought = event(1, event_type=EventType.PURCHASE, items=(5,))
    later = [event(n, items=(n,)) for n in range(2, 10)]
    assert consumed(bought, *later) == [5]
    assert consumed(bought, *later, event(10, event_type=EventType.REFUND, items=(5,))) == []


def test_a_reversal_takes_back_its_event_and_no_other_of_the_same_kind():
    first, second = event(1, items=(5,)), event(2, items=(5,), time_ms=START_MS + DAY_MS)
    user = fold_events(state(), [first, second, reversal(first, 3)]).users.read(7)
    assert user.history["time_ms"].tolist() == [START_MS + DAY_MS]
    assert user.event_count[EventType.CLICK] == 1


def test_a_second_reversal_is_a_duplicate():
    first = event(1, items=(5,))
    once, twice = reversal(first, 3), reversal(first, 4)
    log = [first, event(2, items=(5,)), once, Event(**{**_fields(twice), "event_key": once.event_key})]
    assert fold_events(state(), log).users.read(7).event_count[EventType.CLICK] == 1


def _fields(each: Event) -> dict:
    return {name: getattr(each, name) for name in Event.__slots__}


def test_a_session_ends_after_30_idle_minutes():
    log = [event(n, time_ms=START_MS + minute * MINUTE_MS) for n, minute in enumerate((0, 29, 59, 90), 1)]
    user = fold_events(state(), log).users.read(7)
    assert (user.session_start_ms, user.session_event_count) == (START_MS + 90 * MINUTE_MS, 1)


def test_a_reversal_of_an_event_of_an_earlier_session_leaves_the_newest_one_as_it_is():
    old, new, newest = [
        event(number, items=(number,), session_key=key, time_ms=START_MS + number * DAY_MS)
        for number, key in ((1, 11), (2, 12), (3, 12))
    ]
    folded = fold_events(state(LENGTH), [old, new, reversal(old, 4), newest])
    user, plain = (each.users.read(7) for each in (folded, fold_events(state(LENGTH), [new, newest])))
    sessions = [
        (each.session_start_ms, each.session_event_count, each.session_entries) for each in (user, plain)
    ]
    assert sessions == [(new.time_ms, 2, 2)] * 2
    assert folded.items.of_items([2])["neighbour_key"][0, 0] == 3


def test_items_of_one_event_enter_the_history_in_their_order():
    both = event(1, items=(3, 1, 2))
    assert fold_events(state(), [both]).users.read(7).history["item_key"].tolist() == [3, 1, 2]


def test_histories_of_many_users_stand_to_the_right():
    folded = fold_events(state(LENGTH), [event(n, user_key=n % 2, items=(n,)) for n in range(1, 8)])
    rows = folded.users.rows_of(np.array([0, 1, 9], np.uint64))
    assert folded.users.histories(rows)["item_key"].tolist() == [[0, 2, 4, 6], [1, 3, 5, 7], [0, 0, 0, 0]]


def test_values_are_kept():
    rated = Event(1, 1, 7, EventType.RATE, START_MS, (ItemReference(5, 1, 4.5),))
    assert fold_events(state(), [rated]).users.read(7).history["value"].tolist() == [4.5]
