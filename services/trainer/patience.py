"""Waiting for what will be back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

_log = structlog.get_logger("patience")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
Result = TypeVar("Result")


async def patiently(
    action: Callable[[], Awaitable[Result]], passing: tuple[type[Exception], ...], seconds: float
) -> Result:
    """The action's result; `passing` errors are tried again with growing pauses, after `seconds` they are
    raised."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await action()
        except passing as error:
            if time.monotonic() + pause > deadline:
                raise
            _log.warning("tried again later", reason=first_line(error), pause_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type when there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
