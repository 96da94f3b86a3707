"""What a call may still take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shared.runtime.rpc import remaining_seconds


def call(seconds_left: float | None) -> SimpleNamespace:
    return SimpleNamespace(time_remaining=lambda: seconds_left)


@pytest.mark.parametrize(
    ("left", "waits"),
    [(None, 30.0), (60.0, 30.0), (10.0, 9.5), (1.0, 0.8), (0.05, 0.03), (0.01, 0.0), (-1.0, 0.0)],
)
def test_a_wait_leaves_time_to_answer_before_the_deadline(left, waits):
    assert remaining_seconds(call(left), 30.0) == pytest.approx(waits)


def test_a_call_may_set_more_time_aside():
    assert remaining_seconds(call(2.0), 30.0, margin=0.75) == pytest.approx(1.25)
