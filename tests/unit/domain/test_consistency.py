"""The consistency token."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.consistency import MalformedTokenError, decode_token, encode_token

POSITIONS = st.dictionaries(st.integers(0, 65535), st.integers(0, 2**64 - 1), max_size=20)


@given(POSITIONS)
def test_a_token_says_what_was_put_in(positions):
    assert decode_token(encode_token(positions)) == positions


@given(POSITIONS)
def test_equal_positions_make_equal_tokens(positions):
    assert encode_token(dict(reversed(positions.items()))) == encode_token(positions)


@given(POSITIONS)
def test_a_token_is_safe_in_urls_and_headers(positions):
    assert set(encode_token(positions)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@given(POSITIONS.filter(bool))
def test_a_token_of_more_partitions_than_the_log_has_is_refused(positions):
    token, most = encode_token(positions), max(positions)
    assert decode_token(token, most + 1) == positions
    with pytest.raises(MalformedTokenError, match="another log"):
        decode_token(token, most)


@given(st.text())
def test_any_text_is_a_token_or_refused(text):
    with contextlib.suppress(MalformedTokenError):
        decode_token(text)


@pytest.mark.parametrize(
    "token", ["x", "!!!!", "é", "AQ", "AQAA", base64.urlsafe_b64encode(b"\x02" + bytes(10)).decode(), "a b"]
)
def test_malformed_tokens_are_refused(token):
    with pytest.raises(MalformedTokenError):
        decode_token(token)


def test_a_token_cut_short_is_refused():
    with pytest.raises(MalformedTokenError):
        decode_token(encode_token({3: 17})[:-2])
