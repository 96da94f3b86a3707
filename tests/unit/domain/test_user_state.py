"""State of users: the ring of the newest events, counts, and what was consumed."""

from __future__ import annotations

import pytest
from hypothesis import given

from shared.domain.event import EventType
from shared.domain.user_state import RECENT_EVENTS, UserStates
from tests.builders import VIDEO, event
from tests.unit.domain.strategies import logs


def users(events, history_length: int = 4) -> UserStates:
    states = UserStates(VIDEO, history_length)
    for each in events:
        states.apply(each)
    return states


def history(events, history_length: int = 4) -> list[int]:
    return users(events, history_length).read(7).history["item_key"].tolist()


def consumed(events, history_length: int = 4) -> list[int]:
    return users(events, history_length).read(7).consumed.tolist()


def test_nothing_is_known_of_a_user_never_seen():
    assert users([]).read(7) is None


def test_history_holds_events_oldest_first():
    assert history([event(n, items=(n,)) for n in (1, 2, 3)]) == [1, 2, 3]


def test_a_full_ring_keeps_the_newest():
    assert history([event(n, items=(n,)) for n in range(1, 12)]) == [8, 9, 10, 11]


def test_each_item_of_an_event_is_an_entry():
    assert history([event(1, items=(5, 6)), event(2, items=(7, 8, 9))]) == [6, 7, 8, 9]


def test_impressions_are_counted_and_stay_out_of_the_history():
    state = users([event(1, event_type=EventType.VIEW_ITEM_LIST)]).read(7)
    assert len(state.history) == 0
    assert state.event_count[EventType.VIEW_ITEM_LIST] == 1


def test_a_consumed_item_survives_leaving_the_ring():
    rated = event(1, event_type=EventType.RATE, items=(99,))
    clicks = [event(n, items=(n,)) for n in range(2, 20)]
    assert consumed([rated, *clicks]) == [99]


def test_an_item_that_was_only_clicked_is_not_consumed():
    assert consumed([event(n, items=(n,)) for n in range(1, 20)]) == []


def test_an_event_of_late_is_known_again():
    states = users([event(n) for n in range(1, RECENT_EVENTS + 1)])
    assert not states.apply(event(100, event_key=1))
    assert states.read(7).event_count.sum() == RECENT_EVENTS


def test_users_have_separate_states():
    states = users([event(1, user_key=7), event(2, user_key=8, items=(5,))])
    assert states.read(8).history["item_key"].tolist() == [5]
    assert len(states) == 2


def test_more_users_than_one_chunk_of_memory_holds_keep_their_states():
    states = users([event(n, user_key=n, items=(n,)) for n in range(1, 5001)])
    assert [int(states.read(n).history["item_key"][0]) for n in (1, 4096, 4097, 5000)] == [
        1,
        4096,
        4097,
        5000,
    ]


def test_what_was_read_is_a_copy():
    states = users([event(1, items=(5,))])
    states.read(7).history["item_key"] = 0
    assert states.read(7).history["item_key"].tolist() == [5]


def test_a_record_of_another_history_length_is_refused():
    record, departed = users([event(1)], history_length=4).export(7)
    with pytest.raises(ValueError, match="history length"):
        UserStates(VIDEO, 5).restore(7, record, departed)


@given(logs())
def test_the_history_is_the_tail_of_the_log(log):
    states = users(log, history_length=5)
    for key in states.keys():
        expected = [
            item.item_key
            for each in log
            if each.user_key == key and VIDEO.in_history[each.event_type]
            for item in each.items
        ]
        assert states.read(key).history["item_key"].tolist() == expected[-5:]


@given(logs())
def test_consumed_is_every_item_ever_consumed(log):
    states = users(log, history_length=2)
    for key in states.keys():
        expected = {
            item.item_key
            for each in log
            if each.user_key == key and VIDEO.consumes[each.event_type]
            for item in each.items
        }
        assert set(states.read(key).consumed.tolist()) == expected
