"""Deltas come in order, intact, and of one model; whatever else comes is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shared.adapters.jetstream.deltas import decode_delta, encode_delta
from shared.domain.models.delta import Chain, Delta, DeltaRefusedError


def delta(sequence: int = 1, digest: bytes = b"", **fields) -> Delta:
    """Two rows and a rule."""
    defaults = {
        "item_keys": np.array([7, 8], np.uint64),
        "vectors": np.ones((2, 3), np.float32),
        "biases": np.zeros(2, np.float32),
        "rule_keys": np.array([7], np.uint64),
        "follower_keys": np.array([8], np.uint64),
        "counts": np.array([0.9], np.float32),
    }
    return Delta("m", sequence, 10 * sequence, **{**defaults, **fields}).sealed(digest)


def advanced(*deltas: Delta) -> Chain:
    chain = Chain("m")
    for each in deltas:
        chain.check(each)
        chain.advance(each)
    return chain


def test_deltas_in_order_are_accepted():
    first = delta()
    chain = advanced(first, delta(2, first.digest))
    assert (chain.sequence, chain.to_position) == (2, 20)


def test_a_delta_is_the_same_after_it_was_stored():
    first = replace(delta(), since_ms=1_700_000_000_123)
    again = decode_delta(encode_delta(first), dimension=3)
    advanced(again)
    assert (again.since_ms, again.to_position, again.vectors.tolist()) == (
        1_700_000_000_123,
        10,
        [[1] * 3] * 2,
    )


@pytest.mark.parametrize(
    "refused, reason",
    [
        (delta(2), "does not follow"),
        (replace(delta(), model_version="n"), "of model n"),
        (replace(delta(), counts=np.array([1.9], np.float32)), "another digest"),
        (replace(delta(), to_position=11), "another digest"),
        (delta(digest=b"another past"), "another digest"),
        (delta(counts=np.array([-1], np.float32)), "not above 0"),
        (delta(counts=np.array([np.nan], np.float32)), "not above 0"),
        (delta(vectors=np.full((2, 3), np.inf, np.float32)), "not finite"),
        (delta(biases=np.zeros(1, np.float32)), "2 items have vectors"),
        (delta(rule_keys=np.array([], np.uint64)), "1 counts are of 0 items"),
        (delta(item_keys=np.array([7, 7], np.uint64)), "two rows"),
    ],
)
def test_what_does_not_fit_is_refused(refused, reason):
    with pytest.raises(DeltaRefusedError, match=reason):
        Chain("m").check(refused)


def test_a_delta_may_not_come_twice_nor_go_back_in_the_log():
    first = delta()
    for again in (first, replace(delta(2), to_position=9).sealed(first.digest)):
        with pytest.raises(DeltaRefusedError, match=r"does not follow|lies before"):
            advanced(first).check(again)


@pytest.mark.parametrize("payload", [b"\xff\xff", encode_delta(delta())[:-3]])
def test_bytes_that_are_no_delta_are_refused(payload):
    with pytest.raises(DeltaRefusedError):
        advanced(decode_delta(payload, dimension=3))


def test_vectors_of_another_dimension_are_refused():
    with pytest.raises(DeltaRefusedError, match="not a delta"):
        decode_delta(encode_delta(delta()), dimension=4)


def test_whoever_tells_on_takes_up_the_chain_at_the_first_delta_that_is_still_stored():
    first = delta()
    second = delta(2, first.digest)
    third = delta(3, second.digest)
    chain = Chain("m")
    for each in (second, third):
        chain.take_up(each)
    assert (chain.sequence, chain.digest, chain.to_position) == (3, third.digest, 30)


def test_behind_the_delta_that_was_taken_up_only_the_next_one_fits():
    chain = Chain("m")
    chain.take_up(delta(4, b"a past that is no longer stored"))
    for wrong in (delta(6), delta(5, b"another past"), replace(delta(5), model_version="n")):
        with pytest.raises(DeltaRefusedError):
            chain.take_up(wrong)
    assert chain.sequence == 4


def test_a_damaged_delta_is_not_taken_up():
    chain = Chain("m")
    for damaged in (replace(delta(), digest=b"?"), replace(delta(4), model_version="n")):
        with pytest.raises(DeltaRefusedError):
            chain.take_up(damaged)
    assert chain.sequence == 0
