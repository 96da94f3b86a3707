"""Which event ids the archive holds, mostly without asking it.

A filter in memory says "certainly not" for nearly all new ids. Only those that it lets pass are looked up in
PostgreSQL; while that is away, what may have been archived is not written again: its sender has to try later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import structlog
from prometheus_client import Counter
from xxhash import xxh3_128_digest

from shared.adapters.jetstream.log_writer import LogUnavailableError
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.domain.id_filter import IdFilter

_log = structlog.get_logger("archived_ids")
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 2.0
LOOKUPS_MISSED = Counter(
    "freshet_archive_lookups_missed_total", "Writes that could not ask the archive for duplicates."
)


class ArchivedIds:
    """What the archive holds. Until `load` is through, every unknown id is looked up, and while PostgreSQL is away
    then, an id counts as new."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._filter = IdFilter()
        self._loaded = False
        self._ask_from = 0.0

    async def load(self) -> None:
        """Learn all ids that are archived now. Call it when the archiver's start position is settled: from there on
        `note` tells the rest."""
        async for ids in self._archive.event_ids():
            self._filter.add(hashes_of(ids))
            await asyncio.sleep(0)
        self._loaded = True

    def note(self, event_ids: Sequence[str]) -> None:
        """These are about to be archived."""
        if event_ids:
            self._filter.add(hashes_of(event_ids))

    async def positions_of(
        self, event_ids: Sequence[str], strict: bool = False
    ) -> dict[str, int | LogUnavailableError]:
        """Positions of those that are archived; an error for one that may be, when that cannot be found out. strict:
        an error also where an id would count as new because nothing can be found out yet."""
        if self._loaded and event_ids:
            perhaps = self._filter.perhaps(hashes_of(event_ids)).tolist()
            event_ids = [each for each, passed in zip(event_ids, perhaps, strict=True) if passed]
        return await self._look_up(event_ids, strict) if event_ids else {}

    async def _look_up(self, event_ids: Sequence[str], strict: bool) -> dict[str, int | LogUnavailableError]:
        try:
            if time.monotonic() < self._ask_from:
                raise TimeoutError("PostgreSQL was away a moment ago")
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return dict(await self._archive.positions_of(event_ids))
        except DEFECTS:
            raise
        except UNAVAILABLE as error:
            self._pause(error)
        if not self._loaded and not strict:
            return {}
        unknown = LogUnavailableError("PostgreSQL is away, and this id may be that of an archived event")
        return dict.fromkeys(event_ids, unknown)

    def _pause(self, error: BaseException) -> None:
        LOOKUPS_MISSED.inc()
        if time.monotonic() >= self._ask_from:
            self._ask_from = time.monotonic() + PAUSE_SECONDS
            _log.warning("archive not asked for duplicates", reason=repr(error)[:200])


def hashes_of(event_ids: Sequence[str]) -> np.ndarray:
    """Two hashes (n, 2) uint64 of each id."""
    digests = b"".join([xxh3_128_digest(event_id.encode()) for event_id in event_ids])
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)
