"""Hands what the log's tail has come to on to the archiver, so that nothing is delivered and parsed twice.

It holds so many records at most. When PostgreSQL is away for longer, what it holds is dropped: the archiver then reads
the log itself up to where the feed has come, and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.adapters.jetstream.log_reader import LogRecord

MOST_RECORDS = 20_000
MOST_BYTES = 64 * 1024 * 1024


class ArchiveFeed:
    """Records in log order. Those behind `covered_from` up to `position` are held or were taken."""

    def __init__(self, most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES) -> None:
        self._most_records, self._most_bytes = most_records, most_bytes
        self._held: list[LogRecord] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self.covered_from = -1
        self.position = -1

    def begin(self, position: int) -> None:
        """Everything behind `position` will be offered."""
        self._drop()
        self.covered_from = self.position = position
        self._arrived.set()

    def offer(self, records: Sequence[LogRecord]) -> None:
        """These came next."""
        self._held += records
        self._bytes += sum(len(record.payload) for record in records)
        self.position = records[-1].position
        if len(self._held) > self._most_records or self._bytes > self._most_bytes:
            self._drop()
            self.covered_from = self.position
        self._arrived.set()

    def _drop(self) -> None:
        self._held, self._bytes = [], 0

    async def begun(self) -> None:
        """Wait until it is known where it begins."""
        while self.position < 0:
            await self._arrived.wait()

    def covers(self, position: int) -> bool:
        """Whether everything behind `position` comes from here."""
        return self.covered_from <= position

    async def take(self, position: int) -> list[LogRecord]:
        """What is held behind `position`, once there is something. It may be nothing, when it had to be dropped."""
        self._arrived.clear()
        if not self._held:
            await self._arrived.wait()
        taken = [record for record in self._held if record.position > position]
        self._drop()
        return taken if self.covers(position) else []
