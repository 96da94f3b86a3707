"""Hands what the log's tail was read for on to the archiver, so that each message is delivered and parsed once.

It holds so many messages at most. When PostgreSQL is away for longer, what it holds is dropped: the archiver then reads
the log itself up to where the feed has come, and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.adapters.log_reader import LogMessage

MOST_MESSAGES = 20_000
MOST_BYTES = 64 * 1024 * 1024


class ArchiveFeed:
    """Messages in log order. Those behind `covered_from` up to `position` are held or were taken."""

    def __init__(self, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._held: list[LogMessage] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self.covered_from = -1
        self.position = -1

    def begin(self, position: int) -> None:
        """Everything behind `position` will be offered."""
        self._drop()
        self.covered_from = self.position = position
        self._arrived.set()

    def offer(self, messages: Sequence[LogMessage]) -> None:
        """These came next."""
        self._held += messages
        self._bytes += sum(len(message.payload) for message in messages)
        self.position = messages[-1].position
        if len(self._held) > self._most_messages or self._bytes > self._most_bytes:
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

    async def take(self, position: int) -> list[LogMessage]:
        """What is held behind `position`, once there is something. It may be nothing, when it had to be dropped."""
        self._arrived.clear()
        if not self._held:
            await self._arrived.wait()
        taken = [message for message in self._held if message.position > position]
        self._drop()
        return taken if self.covers(position) else []
