"""What PostgreSQL tells beside the folded state: the profile of a user, and what the catalogue says of items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.catalog.v1.user_pb2 import User
from services.feature.erasures import Erasures
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.postgres.item_facts import read_item_facts
from shared.adapters.postgres.user_profiles import read_profile
from shared.domain.users.user_features import ItemFacts

POSTGRES_SECONDS = 1.0
"""So long an answer waits for PostgreSQL at most; then it goes without."""


class Facts(NamedTuple):
    """items: facts by item key, of those that the catalogue holds. degraded: PostgreSQL is away, there are none."""

    items: Mapping[int, ItemFacts]
    profile: User | None = None
    degraded: bool = False


class FactReader:
    """Reads all that one answer needs with one connection."""

    def __init__(self, engine: AsyncEngine, erasures: Erasures) -> None:
        self._engine = engine
        self._erasures = erasures

    async def read(self, item_keys: np.ndarray, wait_seconds: float, user_key: int | None = None) -> Facts:
        """Facts of items (n,) uint64, and the profile of a user if wanted. While PostgreSQL is away, frozen too: none,
        after `wait_seconds` at most."""
        try:
            return await within(wait_seconds, self._read(np.unique(item_keys).tolist(), user_key))
        except DEFECTS:
            raise
        except UNAVAILABLE:
            return Facts({}, degraded=True)

    async def _read(self, item_keys: list[int], user_key: int | None) -> Facts:
        if not item_keys and user_key is None:
            return Facts({})
        async with self._engine.connect() as connection:
            items = await read_item_facts(connection, item_keys) if item_keys else {}
            if user_key is None:
                return Facts(items)
            # That of an erased user is hidden from the request on: its row goes a moment later.
            after = self._erasures.erased_at(user_key)
            return Facts(items, await read_profile(connection, user_key, after))
