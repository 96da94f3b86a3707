"""A call about many items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.builders import message
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import written

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRIES = 5
"""Other work on the machine may hold up a small call at any time, but not at each of them."""
ITEMS = [f"one-of-many-{number}" for number in range(1_000)]


async def seen(running: Running) -> str:
    """An event about each of the items; the token that covers them."""
    return await written(running, [message("rate", items=ITEMS[n : n + 100]) for n in range(0, 1_000, 100)])


async def seconds(call: Coroutine[Any, Any, Any]) -> float:
    began = time.monotonic()
    await call
    return time.monotonic() - began


async def longest_meanwhile(running: Running, call: asyncio.Task[float]) -> float:
    """The longest that a small call takes while another is under way."""
    longest = 0.0
    while not call.done():
        longest = max(longest, await seconds(running.client.get_user_features("nobody")))
    return longest


async def longest_share(running: Running) -> float:
    """The share of the time of a call about many items that a small call beside it takes at most."""
    many = asyncio.create_task(seconds(running.client.batch_get_item_features(ITEMS)))
    longest = await longest_meanwhile(running, many)
    return longest / many.result()


async def test_small_calls_have_their_turn_while_many_items_are_described(features):
    await features.client.batch_get_item_features(ITEMS, await seen(features))
    shares = [await longest_share(features) for _ in range(TRIES)]
    assert min(shares) < 0.5, shares
