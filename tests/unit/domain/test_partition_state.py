"""The fold: the same log gives the same bytes, whatever happens to its delivery."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.partition_state import PartitionState, apply, digest, fold
from tests.builders import event, partition
from tests.unit.domain.strategies import logs


def digest_of(events) -> str:
    return digest([fold(partition(), events)])


@given(logs())
def test_folding_twice_gives_the_same_digest(log):
    assert digest_of(log) == digest_of(log)


@given(logs(), st.data())
def test_splitting_the_log_into_batches_changes_nothing(log, data):
    cut = data.draw(st.integers(0, len(log)))
    state = fold(partition(), log[:cut])
    assert digest([fold(state, log[cut:])]) == digest_of(log)


@given(logs(), st.data())
def test_delivering_a_stretch_of_the_log_again_changes_nothing(log, data):
    end = data.draw(st.integers(0, len(log)))
    start = data.draw(st.integers(0, end))
    assert digest_of([*log[:end], *log[start:end], *log[end:]]) == digest_of(log)


@given(logs(max_size=30).filter(bool), st.data())
def test_a_second_copy_of_an_event_at_a_later_position_changes_nothing(log, data):
    copied = data.draw(st.sampled_from(log))
    copy = replace(copied, position=len(log) + 1)
    assert digest_of([*log, copy]) == digest_of(log)


@given(logs(), st.data())
def test_storing_and_restoring_on_the_way_changes_nothing(log, data):
    cut = data.draw(st.integers(0, len(log)))
    state = restored(fold(partition(), log[:cut]))
    assert digest([fold(state, log[cut:])]) == digest_of(log)


def restored(state: PartitionState) -> PartitionState:
    other = partition()
    for key in state.users.keys():
        other.users.restore(key, *state.users.export(key))
    for key in state.items.keys():
        other.items.restore(key, state.items.export(key))
    other.position = state.position
    return other


@given(logs())
def test_the_order_in_which_users_appear_in_memory_does_not_count(log):
    state, other = fold(partition(), log), partition()
    for key in reversed(list(state.users.keys())):
        other.users.restore(key, *state.users.export(key))
    for key in reversed(list(state.items.keys())):
        other.items.restore(key, state.items.export(key))
    assert digest([other]) == digest([state])


def test_an_event_changes_the_digest():
    assert digest_of([event(1)]) != digest_of([])


def test_an_event_behind_the_state_has_no_effect():
    state = fold(partition(), [event(5)])
    assert not apply(state, event(4))
    assert state.position == 5


def test_a_duplicate_moves_the_position_and_nothing_else():
    state = fold(partition(), [event(1)])
    assert not apply(state, event(2, event_key=1))
    assert state.position == 2
    assert state.items.read(1)["event_count"].sum() == 1


def test_what_changed_is_known_by_key():
    state = fold(partition(), [event(1, user_key=7, items=(3, 4)), event(2, user_key=8, items=())])
    assert state.changed_users == {7, 8}
    assert state.changed_items == {3, 4}
