"""The step drop-accidental-clicks: a click that the user left at once is taken back."""

from __future__ import annotations

import pytest

from services.ingestion.cleaning.reversals import reversal_id
from tests.unit.ingestion.cleaning.conftest import notes
from tests.unit.ingestion.cleaning.moments import at, moment, untimed

DROP = "drop-accidental-clicks"


def test_a_click_left_at_once_for_something_else_is_taken_back(cleaning):
    subject = cleaning(DROP)
    click = subject.clean(at(0, items=["a"]))
    subject.clean(at(0.4, items=["b"]))
    reversal = subject.log[-1]
    assert (reversal.event_id, reversal.corrects_event_id) == (reversal_id(click.event_id), click.event_id)
    assert (reversal.corrected_event_type, reversal.corrected_event_time) == ("click", click.event_time)
    assert list(reversal.items) == list(click.items)
    assert notes(reversal) == [(DROP, "corrects_event_id", "")]


def test_a_batch_tells_it_as_well_and_the_reversal_lies_behind_its_cause(cleaning):
    subject = cleaning(DROP)
    click, cause = at(0, items=["a"]), at(0.4, items=["b"])
    subject.drafts(click, cause)
    assert [each.event_type for each in subject.log] == ["click", "click", "reversal"]
    assert subject.reversed_ids() == [click.event_id]
    assert subject.log[-1].event_time == cause.event_time


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda: at(1.0, items=["b"]), id="after the least dwell"),
        pytest.param(lambda: at(0, items=["b"]), id="at an equal time"),
        pytest.param(lambda: at(0.4, "view-item", items=["a"]), id="about the same item"),
        pytest.param(lambda: at(0.4, "view-item-list", items=["b"]), id="merely shown"),
        pytest.param(lambda: at(0.4, items=["b"], session_id="other"), id="in another visit"),
        pytest.param(lambda: untimed(items=["b"]), id="without a time of its sender"),
    ],
)
def test_a_click_stays_when_the_next_event_does_not_show_that_it_was_left(cleaning, then):
    subject = cleaning(DROP)
    subject.drafts(at(0, items=["a"]), then())
    assert subject.reversed_ids() == []


def test_what_is_shown_in_between_does_not_hide_that_a_click_was_left(cleaning):
    subject = cleaning(DROP)
    click = at(0, items=["a"])
    subject.drafts(click, at(0.2, "view-item-list", items=["x"]), at(0.4, items=["b"]))
    assert subject.reversed_ids() == [click.event_id]


def test_other_types_and_the_least_dwell_are_parameters(cleaning):
    subject = cleaning(drop_accidental_clicks={"types": ["view-item"], "least_dwell_seconds": 5})
    view = at(0, "view-item", items=["a"])
    subject.drafts(view, at(4, items=["b"]), at(4.1, items=["c"]))
    assert subject.reversed_ids() == [view.event_id]


def test_a_click_whose_time_is_the_receipts_is_never_taken_back(cleaning):
    subject = cleaning(DROP, "clamp-clock-skew")
    subject.drafts(untimed(items=["a"], session_id="s"), untimed(items=["b"], session_id="s"))
    assert subject.reversed_ids() == []


def test_each_of_a_row_of_hasty_clicks_but_the_last_is_taken_back(cleaning):
    subject = cleaning(DROP)
    clicks = [at(number * 0.3, items=[f"i{number}"]) for number in range(4)]
    subject.drafts(*clicks)
    assert subject.reversed_ids() == [each.event_id for each in clicks[:-1]]


def test_a_click_that_comes_back_from_the_log_is_judged_as_well(cleaning):
    before, after = cleaning(DROP), cleaning(DROP)
    click = before.clean(at(0, items=["a"]))
    key = before.drafts(at(9))[0].user_key
    after.cleaner.restore({key: click.SerializeToString()})
    after.drafts(at(0.4, items=["b"]))
    assert after.reversed_ids() == [click.event_id]
    assert after.log[-1].corrected_event_time == moment(1_700_000_000_000)
