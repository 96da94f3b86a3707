"""The fold: the same log gives the same state, bit for bit, whatever happens to its delivery."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.event import Event, EventType
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.snapshot import take_snapshot
from shared.domain.fold.state import State, fold, fold_events
from shared.domain.fold.state_digest import copy_partition, digest, digests
from tests.builders import event, state
from tests.unit.domain.strategies import logs


def digest_of(events: list[Event]) -> str:
    return digest(fold_events(state(), events))


@given(logs(), st.data())
def test_how_the_log_is_cut_into_batches_changes_nothing(log, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5)))
    folded = state()
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        fold_events(folded, log[start:end])
    assert digest(folded) == digest_of(log)


@given(logs())
def test_one_event_at_a_time_gives_what_all_at_once_give(log):
    folded = state()
    for each in log:
        fold_events(folded, [each])
    assert digest(folded) == digest_of(log)


@given(logs(), st.data())
def test_delivering_a_stretch_of_the_log_again_changes_nothing(log, data):
    end = data.draw(st.integers(0, len(log)))
    start = data.draw(st.integers(0, end))
    folded = fold_events(state(), log[:end])
    fold_events(folded, log[start:end])
    assert digest(fold_events(folded, log[end:])) == digest_of(log)


@given(logs(max_size=30).filter(bool), st.data())
def test_a_second_copy_of_an_event_at_a_later_position_changes_nothing(log, data):
    copy = replace(data.draw(st.sampled_from(log)), position=len(log) + 1)
    assert digest_of([*log, copy]) == digest_of(log)


def restored(folded: State) -> State:
    """What comes back of a state from where it was saved."""
    snapshot, other = take_snapshot(folded, 1), state()
    for record in snapshot.records[::-1]:
        key = int(record["user_key"])
        other.users.restore(key, record.tobytes(), snapshot.departed.get(key, b""))
    other.items.restore(snapshot.items[::-1])
    other.positions = dict(folded.positions)
    return other


@given(logs(), st.data())
def test_saving_and_restoring_on_the_way_changes_nothing(log, data):
    cut = data.draw(st.integers(0, len(log)))
    assert digest(fold_events(restored(fold_events(state(), log[:cut])), log[cut:])) == digest_of(log)


@given(logs().filter(bool), st.data())
def test_users_who_leave_memory_and_come_back_change_nothing(log, data):
    cut = data.draw(st.integers(0, len(log)))
    folded = fold_events(state(), log[:cut])
    folded.users.changed_rows()
    stored = {key: folded.users.export(key) for key in folded.users.keys().tolist()}
    folded.users.let_go(folded.users.least_used(data.draw(st.integers(0, 3))))
    assert digest(folded) == digest_of(log[:cut])
    for key in folded.users.away.keys().tolist():
        folded.users.restore(key, *stored[key])
    assert digest(fold_events(folded, log[cut:])) == digest_of(log)


def test_who_was_used_last_is_known_however_many_batches_came_before():
    folded = fold_events(state(), [event(1, user_key=1)])
    folded.users.clock = 2**32 - 1
    fold_events(folded, [event(2, user_key=2)])
    folded.users.changed_rows()
    assert folded.users.least_used(1).tolist() == [1]


def seconds_to_let_go(folded: State, user_keys: np.ndarray) -> float:
    begin = time.thread_time()
    folded.users.let_go(user_keys)
    return time.thread_time() - begin


def test_users_who_lie_side_by_side_in_memory_leave_it_as_quickly_as_any_others():
    folded = fold_events(state(), [event(number, user_key=number * 7919) for number in range(1, 80_001)])
    folded.users.changed_rows()
    anybody = seconds_to_let_go(folded, folded.users.keys()[::16])
    assert seconds_to_let_go(folded, folded.users.least_used(5_000)) < 4 * anybody


@given(logs())
def test_several_instances_fold_what_one_does(log):
    parts = [fold_events(state(owned=owned), log) for owned in ([0, 3], [1], [2])]
    shared_out = [each for part in parts for each in digests(part, part.positions)]
    whole = fold_events(state(), log)
    assert {each.partition: each.digest for each in shared_out} == {
        each.partition: each.digest for each in digests(whole, whole.positions)
    }


@given(logs(), st.integers(1, 3))
def test_erasing_a_user_gives_the_users_of_a_log_without_them(log, user_key):
    erased = fold_events(state(), log)
    erased.erase(user_key)
    clean = fold_events(state(), [each for each in log if each.user_key != user_key])
    erased.take_items(user_key % 4, clean)
    assert digest(erased) == digest(clean)


def test_an_event_changes_the_digest():
    assert digest_of([event(1)]) != digest_of([])


def test_a_digest_tells_of_users_of_what_left_their_histories_of_who_is_away_and_of_items():
    rated = [event(number, event_type=EventType.RATE, items=(number,)) for number in range(1, 5)]
    whole = copy_partition(fold_events(state(history_length=2), rated), 7 % 4)
    parts = {"records": whole.records[:0], "departed": {}, "away": [1], "items": whole.items[:-1]}
    copies = [whole, *(whole._replace(**{name: part}) for name, part in parts.items())]
    assert len({sum(each.entry_digests()) for each in copies}) == len(copies)


def test_an_event_behind_its_partition_is_not_folded():
    folded = fold_events(state(), [event(5)])
    assert len(folded.not_folded(EventBatch.of([event(4), event(5), event(6)]))) == 1


def test_an_event_of_another_instance_is_not_folded():
    assert len(state(owned=[0]).not_folded(EventBatch.of([event(1, user_key=1), event(2, user_key=4)]))) == 1


def test_a_duplicate_moves_the_position_and_nothing_else():
    folded = fold_events(state(), [event(1)])
    applied = fold(folded, EventBatch.of([event(2, event_key=1)]))
    assert (applied.tolist(), folded.positions[7 % 4]) == ([False], 2)
    assert folded.items.of_items([1])["event_count"].sum() == 1


@given(logs())
def test_item_counts_are_those_of_the_events_less_what_was_taken_back(log):
    counts = fold_events(state(), log).items.records["event_count"]
    assert (counts >= 0).all()
    assert counts.sum() <= sum(len(each.items) for each in log)
