"""Items that have left a history are known by what consumed them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events.event import EventType
from shared.domain.fold.state import fold_events
from shared.domain.users.departed import Departed
from tests.builders import event, state

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 23)), max_size=30)


@given(STEPS)
def test_it_is_a_set_of_types_for_each_item_and_comes_back_from_its_bytes(steps):
    departed, model = Departed(), {}
    for adds, item, kind in steps:
        if adds:
            departed.add(item, kind)
            model.setdefault(item, set()).add(kind)
        else:
            assert departed.take_back(item, kind) == (kind in model.get(item, ()))
            model = {key: kinds - ({kind} if key == item else set()) for key, kinds in model.items()}
            model = {key: kinds for key, kinds in model.items() if kinds}
        departed = Departed(departed.stored)
    assert departed.item_keys.tolist() == list(model)
    assert len(departed.stored) == 12 * len(model)


@pytest.mark.timeout(10)
def test_the_last_of_many_items_takes_no_longer_than_the_first():
    departed = Departed()
    for item in range(40_000):
        departed.add(item, EventType.RATE)
    assert len(departed.item_keys) == 40_000


def test_a_refund_of_what_was_only_rated_takes_nothing_back():
    rated = [event(number, event_type=EventType.RATE, items=(number,)) for number in range(1, 10)]
    refund = event(10, event_type=EventType.REFUND, items=(1,))
    folded = fold_events(state(), [*rated, refund])
    assert 1 in folded.users.departed_of(7)
    assert (folded.items.of_items([1])["event_count"] >= 0).all()
