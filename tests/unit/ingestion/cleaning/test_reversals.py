"""Reversals that callers send: each event is taken back once, by its own user."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.cleaning.cleaner import Batch
from services.ingestion.cleaning.reversals import reversal_id
from services.ingestion.validation import event_violations
from shared.adapters.jetstream.log_writer import LogUnavailableError
from tests.unit.ingestion.cleaning.conftest import notes, receipt
from tests.unit.ingestion.cleaning.moments import NOW_MS, at
from tests.unit.ingestion.intakes import BOUNDS

FIELD = "corrects_event_id"


def reversal(original_id: str, **fields):
    return at(60, "reversal", **{"items": (), "corrects_event_id": original_id, **fields})


def test_a_reversal_carries_what_the_folds_need_of_its_original(cleaning):
    subject = cleaning()
    original = subject.clean(at(0, "purchase", items=["a", "b"], session_id="s1"))
    stored = subject.clean(reversal(original.event_id, items=["else"]))
    assert list(stored.items) == list(original.items)
    assert (stored.corrected_event_type, stored.session_id) == ("purchase", "s1")
    assert stored.corrected_event_time == original.event_time


def test_a_reversal_is_kept_under_the_id_of_its_original(cleaning):
    subject, original = cleaning(), at(0)
    subject.drafts(original)
    sent = reversal(original.event_id, event_id="mine")
    stored = subject.clean(sent)
    assert stored.event_id == sent.event_id == reversal_id(original.event_id)
    assert ("receive", "event_id", "mine") in notes(stored)


def test_a_second_reversal_of_an_event_is_the_first(cleaning):
    subject, original = cleaning(), at(0)
    subject.drafts(original, reversal(original.event_id))
    length = len(subject.log)
    assert subject.refusals(reversal(original.event_id, event_id="another")) == [[]]
    assert len(subject.log) == length


def test_an_event_can_be_taken_back_in_the_batch_that_brings_it(cleaning):
    subject, original = cleaning(), at(0)
    subject.drafts(original, reversal(original.event_id))
    assert subject.reversed_ids() == [original.event_id]
    assert subject.log[-1].corrected_event_type == "click"


def test_what_was_never_written_cannot_be_taken_back(cleaning):
    assert cleaning().refusals(reversal("never")) == [[(FIELD, "NOT_FOUND")]]


def test_an_event_of_another_user_cannot_be_taken_back(cleaning):
    subject, original = cleaning(), at(0)
    subject.drafts(original)
    assert subject.refusals(reversal(original.event_id, user_id="u2")) == [[(FIELD, "MISMATCH")]]


def test_a_reversal_cannot_be_taken_back(cleaning):
    subject, original = cleaning(), at(0)
    subject.drafts(original, reversal(original.event_id))
    sent = reversal(reversal_id(original.event_id))
    assert subject.refusals(sent) == [[(FIELD, "NOT_REVERSIBLE")]]


def test_while_it_cannot_be_told_a_reversal_waits(cleaning):
    subject = cleaning()
    draft = subject.cleaner.draft(reversal("e"), *receipt())
    draft.failure = LogUnavailableError("away")
    batch = Batch(receipt()[0], lambda _: False)
    subject.cleaner.clean([draft], batch)
    assert draft.entry is None and not draft.violations and not batch.entries


def test_a_reversal_is_no_part_of_a_visit(cleaning):
    subject, original = cleaning("fill-session", "fill-dwell"), at(0)
    subject.drafts(original, reversal(original.event_id))
    assert subject.clean(at(70)).previous_dwell_seconds == 70


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128))
def test_the_id_of_a_reversal_is_a_valid_id(event_id):
    event = reversal(event_id, event_id=reversal_id(event_id))
    assert event_violations(event, BOUNDS, NOW_MS / 1000) == []
