"""Visits of users that this process has not seen: the archive tells where they were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog
from google.protobuf.message import DecodeError

from freshet.event.v1.event_pb2 import UserEvent
from services.ingestion.cleaning.cleaner import Cleaner
from shared.adapters.archive import Archive
from shared.adapters.database import DEFECTS, UNAVAILABLE
from shared.adapters.keys import user_key

_log = structlog.get_logger("past_visits")
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 2.0


class PastVisits:
    """Takes up visits. While PostgreSQL is away, such users begin a new one."""

    def __init__(self, archive: Archive, cleaner: Cleaner) -> None:
        self._archive = archive
        self._cleaner = cleaner
        self._ask_from = 0.0

    async def recall(self, user_ids: Sequence[str]) -> None:
        """Let the cleaner know the newest events of those users that it does not remember."""
        unknown = self._cleaner.visitors.unknown(map(user_key, user_ids))
        if not unknown or time.monotonic() < self._ask_from:
            return
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                payloads = await self._archive.newest_payloads(unknown)
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            self._ask_from = time.monotonic() + PAUSE_SECONDS
            _log.info("archive not asked for visits", reason=repr(error)[:200])
            return
        for key in self._cleaner.visitors.unknown(payloads):  # another call may have been quicker
            self._remember(key, payloads[key])

    def _remember(self, key: int, payload: bytes) -> None:
        try:
            self._cleaner.remember(UserEvent.FromString(payload), key)
        except DecodeError as error:
            _log.error("archived event cannot be read", reason=repr(error))
