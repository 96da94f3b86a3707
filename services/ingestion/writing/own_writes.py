"""What this instance has written and its tail has not come to yet, so that nobody reads back what is known here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.adapters.jetstream.log_append import Answer, Appended, Record
from shared.adapters.jetstream.log_reader import LogRecord

MOST_RECORDS = 100_000


class OwnWrites:
    """Records by position, from their acknowledgement until they are taken in the log's order."""

    def __init__(self, most_records: int = MOST_RECORDS) -> None:
        self._most_records = most_records
        self._held: dict[int, LogRecord] = {}
        self._arrived = asyncio.Event()

    def note(
        self, records: Sequence[Record], answers: Sequence[Answer], position: int = 0
    ) -> list[LogRecord]:
        """What became of a group of records; those that the log took now. Kept are those behind `position`: what lies
        before it was read from the log ere its acknowledgement came. What nobody takes for long is dropped, and read
        then."""
        written = [
            LogRecord(answer.position, *record)
            for record, answer in zip(records, answers, strict=True)
            if type(answer) is Appended and not answer.duplicate
        ]
        if len(self._held) + len(written) > self._most_records:
            self._held.clear()
        self._held.update([(each[0], each) for each in written if each[0] > position])
        self._arrived.set()
        return written

    def take(self, position: int) -> list[LogRecord]:
        """Those that lie right behind `position`, one behind the other without a gap."""
        held, taken = self._held, []
        while (record := held.pop(position + 1, None)) is not None:
            taken.append(record)
            position += 1
        return taken

    def drop(self, position: int) -> None:
        """Forget what lies up to `position`."""
        for each in [held for held in self._held if held <= position]:
            del self._held[each]

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, position: int) -> bool:
        """Whether the record at that position is here."""
        return position in self._held

    async def arrival(self, timeout_seconds: float) -> bool:
        """Wait until something was written; whether it was, in that time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        self._arrived.clear()
        return True
