"""What holds for every event and every set of steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.event.v1 import event_pb2
from freshet.event.v1.event_pb2 import Attribute, EventItem, UserEvent
from services.ingestion.cleaning.draft import Draft
from services.ingestion.cleaning.normalise import normalise
from services.ingestion.cleaning.plain import is_plain
from services.ingestion.validation import event_violations
from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.presets import load_preset
from shared.domain.events.event import EVENT_TYPE_BY_WORD
from tests.unit.ingestion.cleaning.conftest import Cleaning, notes
from tests.unit.ingestion.cleaning.moments import NOW_MS, START_MS, moment
from tests.unit.ingestion.intakes import BOUNDS, cleaner

ADS = load_preset("ads").cleaning
ORDER = ("normalise", "clamp-clock-skew", "receive", "fill-session", "fill-dwell", "fill-defaults")
NOW_SECONDS = NOW_MS / 1000

_texts = st.sampled_from(
    ["", "u1", " u1", "a b", "Zoë", "Zoe\u0308", "\u0958" * 128, "x" * 129, "a\nb", "  "]
)
_words = st.sampled_from([*EVENT_TYPE_BY_WORD, "Add_To_Cart", "stare", " click"])
_times = st.none() | st.sampled_from([0, START_MS, NOW_MS - 1, NOW_MS, NOW_MS + 60_000, NOW_MS + 7_200_000])
_items = st.builds(
    EventItem,
    item_id=_texts | st.just("i1"),
    quantity=st.integers(-1, 2),
    position=st.integers(-1, 2),
    value=st.none() | st.sampled_from([0.0, 4.5, float("nan"), float("inf")]),
)
_attributes = st.dictionaries(
    st.sampled_from(["device", "", "page"]), st.just(Attribute(text=["x"])), max_size=2
)


@st.composite
def events(draw) -> UserEvent:
    """Good, odd and bad events."""
    fields = (
        "event_id",
        "user_id",
        "session_id",
        "placement",
        "attribution_token",
        "query",
        "corrects_event_id",
    )
    texts = {field: draw(st.just("") | _texts) for field in fields}
    texts["user_id"] = texts["user_id"] or draw(st.sampled_from(["u1", ""]))
    event = UserEvent(event_type=draw(_words), items=draw(st.lists(_items, max_size=2)), **texts)
    for key, value in draw(_attributes).items():
        event.attributes[key].CopyFrom(value)
    if (time_ms := draw(_times)) is not None:
        event.event_time.CopyFrom(moment(time_ms))
    return event


def all_steps() -> Cleaning:
    return Cleaning(cleaner(ADS))


def violations(event: UserEvent) -> list:
    return event_violations(event, BOUNDS, NOW_SECONDS)


def stored(subject: Cleaning, event: UserEvent) -> UserEvent | None:
    """The event as it goes into the log; None for a refused one."""
    entry = subject.drafts(event)[0].entry
    return UserEvent.FromString(entry.payload) if entry is not None else None


@given(events())
def test_a_plain_event_has_no_fault_and_nothing_to_normalise(event):
    event.ClearField("event_time")
    if is_plain(Draft(event, told=False)):
        assert violations(event) == [] and not normalise(event)


@given(events(), st.booleans())
def test_a_plain_event_is_decoded_as_its_payload_is(event, foreign):
    if foreign:
        event.ingest_time.GetCurrentTime()
    entry = all_steps().drafts(event)[0].entry
    if entry is not None and entry.decoded is not None:
        batch = decode_batch([(1, entry.payload)]).batch
        columns = batch.user_key.view(np.int64), batch.event_type, batch.time_ms
        numbers = tuple(int(each[0]) for each in columns)
        assert entry.decoded == (*numbers, batch.item_key.tobytes(), batch.value.tobytes())


@pytest.mark.parametrize("placement", ["", "home"])
@pytest.mark.parametrize("value", [None, -4.5, 3e38])
def test_an_ordinary_event_is_plain(placement, value):
    event = UserEvent(event_type="rate", user_id="u1", placement=placement)
    event.items.add(item_id="i1", value=value, quantity=300, position=1)
    event.event_time.CopyFrom(moment(START_MS))
    assert is_plain(Draft(event, told=True))


@given(
    events(),
    st.sampled_from(["ingest_time", "dead_letter_id", "filled_fields", "unknown", "unknown in an item"]),
)
def test_an_event_with_what_is_not_the_senders_is_not_plain(event, what):
    foreign = {
        "ingest_time": UserEvent(ingest_time=moment(0)),
        "dead_letter_id": UserEvent(dead_letter_id="1"),
        "filled_fields": UserEvent(filled_fields=[1]),
    }
    added = foreign[what].SerializeToString() if what in foreign else b"\xf8\x07\x01"
    if what == "unknown in an item":
        added = b"\x32" + bytes([len(added)]) + added
    event = UserEvent.FromString(event.SerializeToString() + added)
    assert not is_plain(Draft(event, event.HasField("event_time")))


@given(events())
def test_cleaning_makes_no_valid_event_invalid(event):
    if violations(event) == [] and event.event_type != "reversal":
        assert stored(all_steps(), event) is not None


@given(events())
def test_what_cleaning_lets_through_is_valid(event):
    if (clean := stored(all_steps(), event)) is not None:
        assert violations(clean) == []


@given(events())
def test_a_cleaned_event_is_clean(event):
    once = stored(all_steps(), event)
    if once is not None:
        again = stored(all_steps(), UserEvent.FromString(once.SerializeToString()))
        assert again is not None and notes(again) == []
        once.ClearField("cleaning")
        once.ClearField("filled_fields")
        assert again == once


@given(st.lists(events(), min_size=1, max_size=4))
def test_notes_stand_in_the_order_of_the_steps(several):
    subject = all_steps()
    for event in several:
        if (clean := stored(subject, event)) is not None:
            places = [ORDER.index(each.step) for each in clean.cleaning]
            assert places == sorted(places)


def set_plainly(event: UserEvent, session_id: str, dwell_seconds: float | None) -> None:
    """Fill an event, which has an id, field by field."""
    event.ingest_time.CopyFrom(moment(NOW_MS))
    if not event.HasField("event_time"):
        event.event_time.CopyFrom(moment(NOW_MS))
        event.filled_fields.append(event_pb2.FILLED_FIELD_EVENT_TIME)
    if not event.session_id:
        event.session_id = session_id
        event.filled_fields.append(event_pb2.FILLED_FIELD_SESSION_ID)
    if dwell_seconds is not None:
        event.previous_dwell_seconds = dwell_seconds
        event.filled_fields.append(event_pb2.FILLED_FIELD_PREVIOUS_DWELL)
    if not event.placement:
        event.placement = "unknown"
        event.filled_fields.append(event_pb2.FILLED_FIELD_PLACEMENT)
    if "device" not in event.attributes:
        event.attributes["device"].text.append("unknown")
        event.filled_fields.append(event_pb2.FILLED_FIELD_DEVICE)


@given(
    session_id=st.sampled_from(["", "s1", "s" * 128]),
    placement=st.sampled_from(["", "home"]),
    times=st.sampled_from([(None, None), (START_MS, None), (START_MS, START_MS + 12_345)]),
    device=st.booleans(),
)
def test_appended_bytes_say_the_same_as_fields_set_one_by_one(session_id, placement, times, device):
    subject, dwell = all_steps(), None
    sent = [UserEvent(event_id=each, event_type="like", user_id="u1", session_id=session_id) for each in "ab"]
    for event, time_ms in zip(sent, times, strict=True):
        event.items.add(item_id="i1", value=3)
        event.placement = placement
        if device:
            event.attributes["device"].text.append("phone")
        if time_ms is not None:
            event.event_time.CopyFrom(moment(time_ms))
    first, second = [stored(subject, UserEvent.FromString(each.SerializeToString())) for each in sent]
    if times[1] is not None:
        dwell = (times[1] - times[0]) / 1000
    set_plainly(sent[0], first.session_id, None)
    set_plainly(sent[1], second.session_id, dwell)
    assert [first, second] == sent
