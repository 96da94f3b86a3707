"""The catalogue in memory: what the item part of the log says, newest version of each item.

It follows the log itself, so that a new item is known within milliseconds and PostgreSQL may be away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.catalog.v1.item_pb2 import Item
from shared.adapters.keys import item_key
from shared.adapters.log_reader import LogReader, LogSource
from shared.adapters.streams import Names, last_position_of

_log = structlog.get_logger("catalogue")


class Catalogue:
    """Item ids by key. `version` grows with each change. A deleted item keeps its id, for histories that name it."""

    def __init__(self) -> None:
        self.version = 0
        self._ids: dict[int, str] = {}
        self._deleted: set[int] = set()
        self._position = 0
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ids)

    def id_of(self, key: int) -> str | None:
        """The id of an item; None when the catalogue does not know the key."""
        return self._ids.get(key)

    def may_be_recommended(self, key: int) -> bool:
        """Whether the item is known and not deleted."""
        return key in self._ids and key not in self._deleted

    def keys(self) -> np.ndarray:
        """Keys (n,) uint64 of all items, in no set order."""
        return np.fromiter(self._ids, np.uint64, len(self._ids))

    def entries(self) -> Iterable[tuple[int, str]]:
        """Keys and ids of all items that are not deleted, the first added first."""
        return ((key, item_id) for key, item_id in self._ids.items() if key not in self._deleted)

    def put(self, payload: bytes, position: int) -> None:
        """Take in one version of an item."""
        item = Item.FromString(payload)
        key = item_key(item.item_id)
        self._ids[key] = item.item_id
        if item.HasField("delete_time"):
            self._deleted.add(key)
        else:
            self._deleted.discard(key)
        self._advance(position)

    def _advance(self, position: int) -> None:
        self.version += 1
        self._position = max(self._position, position)
        self._moved.set()

    async def follow(self, connection: Client, names: Names) -> None:
        """Keep up with the log until cancelled."""
        source = LogSource(names.events, [names.subject("items.v1.*")], last_per_subject=True)
        async for batch in LogReader(connection, source).batches():
            for message in batch:
                try:
                    self.put(message.payload, message.position)
                except DecodeError as error:
                    _log.error("item cannot be read", position=message.position, reason=str(error))

    async def reach(self, position: int) -> None:
        """Wait until everything up to `position` is taken in."""
        while self._position < position:
            self._moved.clear()
            await self._moved.wait()


async def caught_up(catalogue: Catalogue, connection: Client, names: Names) -> None:
    """Wait until the catalogue holds what the log holds now."""
    await catalogue.reach(await last_position_of(connection, names, names.subject("items.v1.*")))
