"""What holds for every event, whatever it looks like."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.event.v1.event_pb2 import EventItem, UserEvent
from services.ingestion.cleaning.cleaner import Receipt
from services.ingestion.cleaning.plain import is_plain
from services.ingestion.event_writer import ReadyEvent
from services.ingestion.validation import event_violations
from shared.domain.cleaning import cleaning_rules
from shared.domain.event import EVENT_TYPE_BY_WORD
from tests.unit.ingestion.intakes import ALL_STEPS, BOUNDS, cleaner

NOW = time.time()
_texts = st.one_of(
    st.text(max_size=6), st.sampled_from(["", "u1", " u1 ", "Cafe\u0301", "a\x00b", "x" * 129])
)
_types = st.one_of(st.sampled_from([*EVENT_TYPE_BY_WORD, "Add_To_Cart", " CLICK", "nonsense", ""]))
_items = st.builds(
    EventItem,
    item_id=_texts,
    quantity=st.integers(-1, 3),
    value=st.one_of(st.none(), st.floats()),
    position=st.integers(-1, 3),
)


@st.composite
def events(draw) -> UserEvent:
    event = UserEvent(
        event_type=draw(_types),
        items=draw(st.lists(_items, max_size=3)),
        **{
            field: draw(_texts)
            for field in ("event_id", "user_id", "session_id", "placement", "query", "corrects_event_id")
        },
    )
    if draw(st.booleans()):
        event.event_time.seconds = draw(
            st.sampled_from([-5, 0, 631_152_000, 1_700_000_000, int(NOW) + 60, int(NOW) + 7200])
        )
        event.event_time.nanos = draw(st.sampled_from([0, 999_999_999, -1, 10**9]))
    return event


def cleaned(event: UserEvent) -> UserEvent | None:
    """The event as the log takes it; None when it is refused."""
    made, receipt = cleaner(cleaning_rules(ALL_STEPS)), Receipt.at(int(NOW * 1e9))
    if made.check(event, receipt):
        return None
    ready = made.clean(event, receipt, [])
    assert isinstance(ready, ReadyEvent)
    return UserEvent.FromString(ready.payload)


@given(events())
def test_a_plain_event_breaks_no_rule_and_has_nothing_to_normalise(event):
    if is_plain(event, BOUNDS, NOW):
        before = event.SerializeToString(deterministic=True)
        assert event_violations(event, BOUNDS, NOW) == []
        cleaner(cleaning_rules({"normalise": {}})).check(event, Receipt.at(int(NOW * 1e9)))
        assert event.SerializeToString(deterministic=True) == before


@settings(max_examples=300)
@given(events())
def test_a_cleaned_event_is_valid_and_cleaning_it_again_changes_nothing_more(event):
    once = cleaned(event)
    if once is None:
        return
    assert event_violations(once, BOUNDS, NOW) == []
    again = cleaned(UserEvent.FromString(once.SerializeToString()))
    assert again is not None
    assert [*again.cleaning] == [*once.cleaning]
    again.ClearField("ingest_time")
    once.ClearField("ingest_time")
    assert again == once


@given(events())
def test_added_bytes_make_the_event_that_setting_the_fields_would(event):
    once = cleaned(event)
    if once is not None:
        assert UserEvent.FromString(once.SerializeToString()) == once
        assert once.session_id and once.placement and once.HasField("ingest_time")
        assert once.event_id and once.HasField("event_time")
