"""A deadline that the caller gives a stream of events is of all its calls together."""

import time

import pytest

from shared.client import FreshetError, user_event
from tests.contract.client.conftest import away, in_thread

TIMEOUT_SECONDS = 0.8


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_stream_that_stays_broken_raises_before_its_deadline(client, addresses, script, is_async):
    script.breaks = [(0, away())] * 1000
    events = [user_event("click", "u", ["i"])]
    started = time.monotonic()
    with pytest.raises(FreshetError):
        if is_async:
            limited = client.with_options(timeout_seconds=TIMEOUT_SECONDS)
            _ = [each async for each in limited.stream_user_events(events)]
        else:
            await in_thread(
                addresses,
                lambda sync: list(
                    sync.with_options(timeout_seconds=TIMEOUT_SECONDS).stream_user_events(events)
                ),
            )
    # Far less than the minute that a stream without a deadline is taken up again.
    assert time.monotonic() - started < 20 * TIMEOUT_SECONDS


async def test_a_call_of_a_stream_may_take_what_the_calls_before_it_have_left(client, script):
    script.breaks = [(0, away()), (0, away())]
    limited = client.with_options(timeout_seconds=5)
    assert len([each async for each in limited.stream_user_events([user_event("click", "u", ["i"])])]) == 1
    first, _, third = script.streams  # rounded up on their way, by about what the first pause takes
    assert third < first
