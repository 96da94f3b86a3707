"""Questions to the archive that a caller waits for: they may take a moment only, and none is asked for a while after
PostgreSQL was found away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from prometheus_client import Counter

from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE

_log = structlog.get_logger("archive_questions")
ARCHIVE_TIMEOUT_SECONDS = 0.25
ARCHIVE_PAUSE_SECONDS = 2.0

QUESTIONS_MISSED = Counter(
    "freshet_archive_questions_missed_total", "Questions of cleaning that the archive could not be asked."
)
Answer = TypeVar("Answer")


class ArchiveQuestions:
    """One pause for all who ask."""

    def __init__(self) -> None:
        self._ask_from = 0.0

    async def ask(
        self, question: Callable[[], Awaitable[Answer]], seconds: float = ARCHIVE_TIMEOUT_SECONDS
    ) -> Answer | None:
        """The answer, which is never None itself; None while PostgreSQL is away or takes longer than that."""
        if time.monotonic() < self._ask_from:
            QUESTIONS_MISSED.inc()
            return None
        try:
            async with asyncio.timeout(seconds):
                return await question()
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            self._pause(error)
            return None

    def _pause(self, error: BaseException) -> None:
        QUESTIONS_MISSED.inc()
        self._ask_from = time.monotonic() + ARCHIVE_PAUSE_SECONDS
        _log.warning("archive not asked", reason=repr(error)[:200])
