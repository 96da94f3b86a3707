"""Logs of events, as hypothesis makes them: few users and items, so that they meet often."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.domain.events.event import Event, EventType, ItemReference
from tests.builders import DAY_MS, START_MS

ITEM_KEYS = st.integers(1, 6)
_items = st.builds(ItemReference, ITEM_KEYS, st.just(1), st.floats(0, 5, width=32))
_times = st.one_of(
    st.integers(START_MS - 400 * DAY_MS, START_MS + 400 * DAY_MS),
    st.integers(0, 8).map(lambda step: START_MS + step * 600_000),
)
_facts = st.tuples(
    st.integers(1, 3),
    st.sampled_from([each for each in EventType if each != EventType.REVERSAL]),
    _times,
    st.lists(_items, max_size=3).map(tuple),
    st.sampled_from([0, 0, 11, 12]),
)


@st.composite
def logs(draw, max_size: int = 60) -> list[Event]:
    """Events in log order; time goes back and forth. Some reverse an earlier one of their user's, each at most once."""
    facts = draw(st.lists(_facts, max_size=max_size))
    log = [Event(position, position, *fact) for position, fact in enumerate(facts, 1)]
    if log and draw(st.booleans()):
        for original in draw(
            st.lists(st.sampled_from(log), unique_by=lambda each: each.position, max_size=4)
        ):
            log.append(reversal(original, len(log) + 1))
    return log


def reversal(original: Event, position: int) -> Event:
    """What ingestion writes to take an event back."""
    return Event(
        position,
        position,
        original.user_key,
        EventType.REVERSAL,
        original.time_ms,
        original.items,
        original.session_key,
        corrected_type=original.event_type,
        corrected_time_ms=original.time_ms,
    )
