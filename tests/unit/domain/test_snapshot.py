"""What checkpoints store is the state; what could not be stored is in the next one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.event import Event
from shared.domain.fold.snapshot import Snapshot, give_back, take_snapshot
from shared.domain.fold.state import State, fold_events
from tests.builders import state
from tests.unit.domain.strategies import logs


class Store:
    """What a database holds after some snapshots."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.users: dict[int, tuple[bytes, bytes]] = {}
        self.items: dict[tuple[int, int], bytes] = {}
        for snapshot in snapshots:
            self._save(snapshot)

    def _save(self, snapshot: Snapshot) -> None:
        self.users = {key: row for key, row in self.users.items() if key not in snapshot.erased}
        self.items = {key: row for key, row in self.items.items() if key[0] not in snapshot.emptied}
        for record in snapshot.records:
            key = int(record["user_key"])
            self.users[key] = (record.tobytes(), snapshot.departed.get(key, b""))
        for record in snapshot.items:
            self.items[int(record["partition"]), int(record["item_key"])] = record.tobytes()


def erase(folded: State, user_key: int, log: list[Event]) -> None:
    """What an erasure does to a state that reflects `log`."""
    folded.erase(user_key)
    without = [each for each in log if each.user_key != user_key]
    folded.take_items(user_key % 4, fold_events(state(history_length=2), without))


def everything(folded: State) -> Store:
    """A store that holds the state as it is."""
    every = Snapshot(
        0, folded.users.records_where(lambda keys: np.full(len(keys), True)), {}, folded.items.records
    )
    every.departed = {int(key): folded.users.stored_departed_of(key) for key in folded.users.departed}
    return Store(every)


def assert_all_is_stored(folded: State, *snapshots: Snapshot) -> None:
    stored, whole = Store(*snapshots), everything(folded)
    assert (stored.users, stored.items) == (whole.users, whole.items)


@given(logs(), st.data())
def test_what_changed_before_and_after_an_erasure_is_stored(log, data):
    first, then = sorted(data.draw(st.tuples(*[st.integers(0, len(log))] * 2)))
    folded = fold_events(state(history_length=2), log[:first])
    older = take_snapshot(folded, first)
    fold_events(folded, log[:then])
    erase(folded, data.draw(st.integers(1, 3)), log[:then])
    newer = take_snapshot(fold_events(folded, log[then:]), len(log))
    assert_all_is_stored(folded, older, newer)


@given(logs(), st.data())
def test_what_is_given_back_is_in_the_next_snapshot_also_when_a_user_is_erased_in_between(log, data):
    cut, erased = data.draw(st.integers(0, len(log))), data.draw(st.integers(1, 3))
    folded = fold_events(state(history_length=2), log[:cut])
    stored = take_snapshot(folded, cut)
    fold_events(folded, log[cut:])
    failed = take_snapshot(folded, len(log))
    erase(folded, erased, log)
    give_back(folded, failed)
    assert_all_is_stored(folded, stored, take_snapshot(folded, len(log)))


@given(logs(), st.data())
def test_erasures_that_are_given_back_are_in_the_next_snapshot(log, data):
    cut, erased = data.draw(st.integers(0, len(log))), data.draw(st.integers(1, 3))
    folded = fold_events(state(history_length=2), log[:cut])
    stored = take_snapshot(folded, cut)
    erase(folded, erased, log[:cut])
    failed = take_snapshot(folded, cut)
    fold_events(folded, log[cut:])
    give_back(folded, failed)
    assert_all_is_stored(folded, stored, take_snapshot(folded, len(log)))
