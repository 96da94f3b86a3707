"""Waiting for what happens soon, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.02


async def eventually(condition: Callable[[], Any], timeout: float = 20.0) -> Any:
    """The first true value of `condition`, sync or async. Fails the test when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, (
            f"not within {timeout:g} s: {inspect.getsource(condition).strip()}"
        )
        await asyncio.sleep(POLL_SECONDS)
