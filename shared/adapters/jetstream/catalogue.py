"""The catalogue in memory: what the item part of the log says, newest version of each item.

It follows the log itself, so that a new item is known within milliseconds and PostgreSQL may be away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.catalog.v1.item_pb2 import Item
from shared.adapters.codecs.event_codec import milliseconds
from shared.adapters.codecs.keys import item_key
from shared.adapters.jetstream.log_reader import LogReader, LogSource
from shared.adapters.jetstream.streams import Names, last_position_of

_log = structlog.get_logger("catalogue")
_FIRST_ROOM = 1024


class KnownItems(NamedTuple):
    """The catalogue at one moment, the caller's own: version; keys (n,) uint64; allowed (n,) bool, whether each may be
    recommended."""

    version: int
    keys: np.ndarray
    allowed: np.ndarray


class Catalogue:
    """Item ids by key. `version` grows with each change. A deleted item keeps its id, for histories that name it; one
    that cannot be had yet has an id as well, and may be recommended once it is let in.

    Keys and whether each may be recommended are kept in arrays as well, so that all of them can be had at once.
    """

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[int, int] = {}
        self._ids: list[str] = []
        self._keys = np.empty(_FIRST_ROOM, np.uint64)
        self._allowed = np.empty(_FIRST_ROOM, bool)
        self._upcoming: dict[int, int] = {}
        self._position = 0
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ids)

    def id_of(self, key: int) -> str | None:
        """The id of an item; None when the catalogue does not know the key."""
        row = self._rows.get(key)
        return None if row is None else self._ids[row]

    def recommendable_ids_of(self, keys: Iterable[int]) -> list[str | None]:
        """The ids of many; None also for what may not be recommended. For another thread, too."""
        rows = map(self._rows.get, keys)
        return [self._ids[row] if row is not None and self._allowed[row] else None for row in rows]

    def may_be_recommended(self, key: int) -> bool:
        """Whether the item is known, not deleted, and can be had."""
        row = self._rows.get(key)
        return row is not None and bool(self._allowed[row])

    def keys(self) -> np.ndarray:
        """Keys (n,) uint64 of all items, the first added first."""
        return self._keys[: len(self._ids)].copy()

    def known(self) -> KnownItems:
        """All items as they are now."""
        return KnownItems(self.version, self.keys(), self._allowed[: len(self._ids)].copy())

    def entries(self) -> Iterable[tuple[int, str]]:
        """Keys and ids of all items that may be recommended, the first added first. Also for another thread: items that
        come meanwhile are left out."""
        rows = range(len(self._ids))
        return ((int(self._keys[row]), self._ids[row]) for row in rows if self._allowed[row])

    def put(self, payload: bytes, position: int) -> None:
        """Take in one version of an item."""
        item = Item.FromString(payload)
        key = item_key(item.item_id)
        allowed = self._may_now(key, item)
        if (row := self._rows.get(key)) is not None:
            self._allowed[row] = allowed
        else:
            self._add(key, item.item_id, allowed)
        self._advance(position)

    def _may_now(self, key: int, item: Item) -> bool:
        """Whether an item may be recommended; one whose time has yet to come is kept in mind."""
        self._upcoming.pop(key, None)
        if item.HasField("delete_time"):
            return False
        since_ms = milliseconds(item.available_time)
        if since_ms > time.time() * 1000:
            self._upcoming[key] = since_ms
        return key not in self._upcoming

    def admit(self, time_ms: int) -> None:
        """Items that can be had from `time_ms` or earlier on, in milliseconds since 1970, may be recommended now."""
        due = [key for key, since_ms in self._upcoming.items() if since_ms <= time_ms]
        for key in due:
            del self._upcoming[key]
            self._allowed[self._rows[key]] = True
        self.version += bool(due)

    def _add(self, key: int, item_id: str, allowed: bool) -> None:
        """Put a new item behind the others; it is there for other threads once its id is."""
        row = len(self._ids)
        if row == len(self._keys):
            self._keys, self._allowed = (np.resize(each, 2 * row) for each in (self._keys, self._allowed))
        self._keys[row], self._allowed[row] = key, allowed
        self._ids.append(item_id)
        self._rows[key] = row

    def _advance(self, position: int) -> None:
        self.version += 1
        self._position = max(self._position, position)
        self._moved.set()

    async def follow(self, connection: Client, names: Names) -> None:
        """Keep up with the log until cancelled."""
        source = LogSource(names.events, [names.subject("items.v1.*")], last_per_subject=True, again=True)
        async for batch in LogReader(connection, source).batches():
            for message in batch:
                try:
                    self.put(message.payload, message.position)
                except DecodeError as error:
                    _log.error("item cannot be read", position=message.position, reason=str(error))
                    self._advance(message.position)  # or whoever waits for it would wait for ever

    async def reach(self, position: int) -> None:
        """Wait until everything up to `position` is taken in."""
        while self._position < position:
            self._moved.clear()
            await self._moved.wait()


async def caught_up(catalogue: Catalogue, connection: Client, names: Names) -> None:
    """Wait until the catalogue holds what the log holds now."""
    await catalogue.reach(await last_position_of(connection, names, names.subject("items.v1.*")))
