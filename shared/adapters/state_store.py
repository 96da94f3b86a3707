"""Folded state in PostgreSQL: what changed since the last checkpoint, and the checkpoint, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.bulk import as_arrays, bulk_upsert
from shared.adapters.keys import signed, unsigned
from shared.adapters.tables import checkpoints, item_counters, user_states
from shared.domain.partition_state import PartitionState

_ROWS = 5_000


@dataclass
class Snapshot:
    """Rows to store, copied out of the state, and the position they reflect."""

    position: int
    users: list[tuple] = field(default_factory=list)
    items: list[tuple] = field(default_factory=list)


def take_snapshot(states: Mapping[int, PartitionState], position: int) -> Snapshot:
    """Copy what changed in `states` (by partition) since the last call, and forget that it changed."""
    snapshot = Snapshot(position)
    for partition, state in states.items():
        for user_key in state.changed_users:
            snapshot.users.append((partition, signed(user_key), *state.users.export(user_key)))
        for item_key in state.changed_items:
            snapshot.items.append((partition, signed(item_key), state.items.export(item_key)))
        state.changed_users, state.changed_items = set(), set()
    return snapshot


class StateStore:
    """Loads and saves the state of partitions. fold: names what made the state; another fold's state is not used."""

    def __init__(self, engine: AsyncEngine, fold: str) -> None:
        self._engine = engine
        self._fold = fold

    async def save(self, partitions: Iterable[int], snapshot: Snapshot) -> None:
        """Store a snapshot and the checkpoint of `partitions` in one transaction."""
        rows = [(partition, snapshot.position, self._fold) for partition in partitions]
        async with self._engine.begin() as connection:
            await _upsert(connection, user_states, snapshot.users)
            await _upsert(connection, item_counters, snapshot.items)
            await _upsert(connection, checkpoints, rows)

    async def load(self, states: Mapping[int, PartitionState]) -> int:
        """Fill empty `states` with what is stored, and return the position to go on from.

        When any of the partitions was stored by another fold or not at all, everything stored for them is dropped and
        the fold begins anew at position 0.
        """
        partitions = list(states)
        async with self._engine.begin() as connection:
            position = await self._position(connection, partitions)
            if position == 0:
                await _drop(connection, partitions)
                return 0
            await _load_users(connection, states)
            await _load_items(connection, states)
        for state in states.values():
            state.position = position
        return position

    async def _position(self, connection: AsyncConnection, partitions: list[int]) -> int:
        """The common position of the stored partitions; 0 when they cannot be used together."""
        query = sa.select(checkpoints).where(checkpoints.c.partition.in_(partitions))
        rows = (await connection.execute(query)).all()
        positions = {row.position for row in rows if row.fold == self._fold}
        usable = len(rows) == len(partitions) and all(row.fold == self._fold for row in rows)
        return positions.pop() if usable and len(positions) == 1 else 0


async def _upsert(connection: AsyncConnection, table: sa.Table, rows: list[tuple]) -> None:
    for start in range(0, len(rows), _ROWS):
        await connection.execute(bulk_upsert(table), as_arrays(table, rows[start : start + _ROWS]))


async def _drop(connection: AsyncConnection, partitions: list[int]) -> None:
    for table in (user_states, item_counters, checkpoints):
        await connection.execute(sa.delete(table).where(table.c.partition.in_(partitions)))


async def _load_users(connection: AsyncConnection, states: Mapping[int, PartitionState]) -> None:
    query = sa.select(user_states).where(user_states.c.partition.in_(list(states)))
    stream = await connection.stream(query, execution_options={"yield_per": _ROWS})
    async for row in stream:
        states[row.partition].users.restore(unsigned(row.user_key), row.record, row.departed)


async def _load_items(connection: AsyncConnection, states: Mapping[int, PartitionState]) -> None:
    query = sa.select(item_counters).where(item_counters.c.partition.in_(list(states)))
    stream = await connection.stream(query, execution_options={"yield_per": _ROWS})
    async for row in stream:
        states[row.partition].items.restore(unsigned(row.item_key), row.record)
