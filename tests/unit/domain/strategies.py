"""Logs of events, as hypothesis makes them: few users and items, so that they meet often."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.domain.event import Event, EventType, ItemReference
from tests.builders import DAY_MS, START_MS

ITEM_KEYS = st.integers(1, 6)
_items = st.builds(ItemReference, ITEM_KEYS, st.just(1), st.floats(0, 5, width=32))
_facts = st.tuples(
    st.integers(1, 3),
    st.sampled_from(list(EventType)),
    st.integers(START_MS - 400 * DAY_MS, START_MS + 400 * DAY_MS),
    st.lists(_items, max_size=3).map(tuple),
)


@st.composite
def logs(draw, max_size: int = 60) -> list[Event]:
    """Events in log order; time goes back and forth."""
    facts = draw(st.lists(_facts, max_size=max_size))
    return [Event(position, position, *fact) for position, fact in enumerate(facts, 1)]
