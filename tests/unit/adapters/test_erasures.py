"""How erasures stand, folded from the steps in the log."""

from __future__ import annotations

import asyncio

import pytest

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from shared.adapters.jetstream.erasures import Erasures, ErasureStep


def step(position: int, receipt_id: str = "r1", key: int = 7, complete: bool = False) -> ErasureStep:
    """A step of an erasure; the request unless it is told to be the completion."""
    receipt = ErasureReceipt(receipt_id=receipt_id, user_key=key, position=position)
    if complete:
        receipt.complete_time.FromSeconds(position)
    return ErasureStep(position, receipt)


def after(*steps: ErasureStep) -> Erasures:
    """What is known after these steps."""
    made = Erasures()
    for each in steps:
        made.apply(each)
    return made


def test_a_request_is_pending_until_its_completion():
    assert [each.position for each in after(step(1)).pending()] == [1]
    assert after(step(1), step(5, complete=True)).pending() == []


def test_the_newest_erasure_of_a_user_is_the_one_asked_for_last():
    erasures = after(step(1), step(5, complete=True), step(8, "r2"), step(9, "r3", key=8))
    assert erasures.newest_of(7) == step(8, "r2")
    assert erasures.newest_of(99) is None


def test_a_second_completion_changes_nothing():
    erasures = after(step(1), step(5, complete=True), step(6, complete=True))
    assert erasures.step_of("r1") == step(5, complete=True)


def test_each_step_is_told():
    told: list[ErasureStep] = []
    erasures = Erasures(told.append)
    steps = [step(1), step(5, complete=True), step(6, complete=True)]
    for each in steps:
        erasures.apply(each)
    assert told == steps


async def test_waiting_for_pending_ones_passes_over_those_that_are_known():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await after(step(1)).wait_pending({"r1"})
    await after(step(1), step(2, "r2")).wait_pending({"r1"})
