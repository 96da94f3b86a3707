"""Which users were erased, and up to which position: what is remembered of them from before it may not be used."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

from shared.adapters.jetstream.erasures import follow_erasures
from shared.adapters.jetstream.streams import Names


class ErasedUsers:
    """Positions of the newest erasures by user key. on_erasure: told the key of each."""

    def __init__(self, on_erasure: Callable[[int], None] = lambda _: None) -> None:
        self.on_erasure = on_erasure
        self._positions: dict[int, int] = {}

    def covers(self, key: int, position: int) -> bool:
        """Whether a user's state at `position` of the log was erased; a state of no position was not."""
        return 0 < position < self._positions.get(key, 0)

    def add(self, key: int, position: int) -> None:
        """Take in an erasure."""
        self._positions[key] = max(position, self._positions.get(key, 0))
        self.on_erasure(key)

    async def follow(self, connection: Client, names: Names) -> None:
        """Keep up with the log until cancelled. The request for an erasure counts, not its completion."""
        async for steps in follow_erasures(connection, names):
            for step in steps:
                self.add(step.receipt.user_key, step.receipt.position)
