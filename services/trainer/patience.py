"""Waiting for what will be back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.adapters.postgres.database import DEFECTS

_log = structlog.get_logger("patience")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
Result = TypeVar("Result")


class StillAwayError(Exception):
    """What was waited for has not come back in time; the message is that of the last attempt."""


async def patiently(
    action: Callable[[], Awaitable[Result]], passing: tuple[type[Exception], ...], seconds: float
) -> Result:
    """The action's result. On `passing` errors it is tried again with growing pauses.

    Raises StillAwayError after `seconds`, and at once what is no passing error or a defect of a statement.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await action()
        except DEFECTS:
            raise
        except passing as error:
            if time.monotonic() + pause > deadline:
                raise StillAwayError(first_line(error)) from error
            _log.warning("tried again later", reason=first_line(error), pause_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type when there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
