"""Whose a stored message is, whatever has become of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.ingestion.v1.ingestion_pb2 import DeadLetter
from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.belonging import event_is_of, exposure_is_of, letter_is_of
from shared.adapters.codecs.keys import user_key
from tests.builders import message

ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=20)


def letter(payload: bytes, **headers: str) -> bytes:
    """A dead letter as it is stored."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return DeadLetter(payload=payload, headers=names).SerializeToString()


@given(ids, ids)
def test_an_event_is_of_its_user_and_of_nobody_else(user, other):
    payload = message(user_id=user).SerializeToString()
    assert event_is_of(user_key(user), payload, {})
    assert event_is_of(user_key(other), payload, {}) == (user == other)


@given(ids)
def test_a_letter_in_json_is_found_however_the_id_is_written(user):
    for name in ("userId", "user_id"):
        for ascii_only in (True, False):
            text = json.dumps({"eventType": "stare", name: user}, ensure_ascii=ascii_only)
            assert letter_is_of(user_key(user), letter(text.encode()))


@given(ids, st.integers(0, 60))
def test_a_letter_that_is_cut_off_behind_the_user_id_is_found(user, lost):
    event = message(user_id=user, placement="p" * 64).SerializeToString()
    assert letter_is_of(user_key(user), letter(event[: len(event) - lost]))


@given(ids)
def test_a_letter_with_bad_text_in_another_field_is_found(user):
    event = message(user_id=user, placement="MARK").SerializeToString().replace(b"MARK", b"\xff\xfe\xfd\xfc")
    assert letter_is_of(user_key(user), letter(event))


@given(st.binary(max_size=200))
def test_any_bytes_can_be_a_letter_of_nobody(payload):
    assert not letter_is_of(user_key("ann"), letter(payload))
    assert not letter_is_of(user_key("ann"), payload)


@pytest.mark.parametrize("user", ["ann ", "\tann", "a\u006en"])
def test_a_letter_whose_user_id_cleaning_would_have_changed_is_of_the_user_it_would_have_become(user):
    assert letter_is_of(user_key("ann"), letter(json.dumps({"userId": user}).encode()))


@pytest.mark.parametrize("name", ["ce_subject", "User_Id", "x_user"])
def test_headers_that_name_a_user_count(name):
    assert letter_is_of(user_key("ann"), letter(b"", **{name: "ann"}))


def test_other_headers_do_not_count_since_they_may_hold_an_id_by_chance():
    assert not letter_is_of(user_key("7"), letter(b"", content_length="7"))
    assert not event_is_of(user_key("7"), message().SerializeToString(), {"Nats-Sequence": "7"})


@pytest.mark.parametrize("position, found", [(0, True), (9, True), (10, False)])
def test_an_exposure_counts_by_the_state_it_was_served_from(position, found):
    payload = Exposure(user_id="ann", position=position).SerializeToString()
    assert exposure_is_of(user_key("ann"), payload, (0, 10)) == found
