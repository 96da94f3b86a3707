"""Folded state in PostgreSQL: what changed since the last checkpoint, and the checkpoint, in one transaction.

Decision: a partition has one owner at a time. Who loads a partition takes it over, and a checkpoint of the one before
then fails: a partition can move while its old owner is still running, without an older state on top of a newer one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.codecs.keys import signed, unsigned
from shared.adapters.postgres.bulk import as_arrays, bulk_upsert
from shared.adapters.postgres.tables import checkpoints, item_counters, user_states
from shared.domain.digest import entry_digest
from shared.domain.fold.snapshot import Snapshot
from shared.domain.fold.state import State
from shared.domain.items.item_counters import ITEM_RECORD
from shared.domain.users.departed import ITEM_BYTES

_log = structlog.get_logger("state_store")
_NO_PARTITION = -1
"""For the branch that a CASE must have."""
_ROWS = 5_000
_ROWS_AT_ONCE = 200
"""Rows made before other work of the process has its turn: about 1 ms."""


class OwnershipLostError(RuntimeError):
    """Another instance has taken the partitions over; what this one folds is of no use any more."""


class StateSetBackError(RuntimeError):
    """What is stored is older than what was stored here before: PostgreSQL was restored from a backup, or a replica
    took over that had not received everything. What this process would add does not fit; it is to be loaded anew."""


class StoredUser(NamedTuple):
    """A user as stored."""

    user_key: int
    record: bytes
    departed: bytes

    @property
    def digest(self) -> int:
        """Digest of what is stored."""
        return entry_digest(self.user_key, self.record, self.departed)


class StateStore:
    """Loads and saves state. fold: names what made it; another fold's state is not used."""

    def __init__(self, engine: AsyncEngine, fold: str) -> None:
        self._engine = engine
        self._fold = fold
        self._owner = uuid.uuid4().hex
        self._stored: dict[int, int] = {}

    async def load(self, state: State, users_in_memory: int) -> None:
        """Take the partitions of an empty `state` over and fill it: the users stored last come into memory, the others
        stay away. A partition that another fold made, or none, or that cannot be read, is emptied and begins at
        position 0."""
        async with self._engine.begin() as connection:
            await self._claim(connection, state)
            damaged = await _load_users(connection, state, users_in_memory)
            damaged |= await _load_items(connection, state)
            if damaged:
                _log.error("stored state is damaged; the log is folded anew", partitions=sorted(damaged))
                state.begin_anew(damaged)
                await self._take_over(connection, state)
        self._stored = dict(state.positions)

    async def newest_position(self, state: State) -> int:
        """The newest position that what is stored of the state's partitions reflects; 0 for nothing."""
        newest = sa.select(sa.func.max(checkpoints.c.position)).where(_of_partitions(state))
        async with self._engine.connect() as connection:
            return (await connection.execute(newest)).scalar() or 0

    async def forget(self, state: State) -> None:
        """The state's partitions begin at position 0 when they are loaded next."""
        at_0 = sa.update(checkpoints).where(_of_partitions(state)).values(position=0, refold_position=0)
        async with self._engine.begin() as connection:
            await connection.execute(at_0)

    async def _claim(self, connection: AsyncConnection, state: State) -> None:
        mine = _of_partitions(state)
        stored = (await connection.execute(sa.select(checkpoints).where(mine).with_for_update())).all()
        for row in [row for row in stored if row.fold == self._fold]:
            state.positions[row.partition] = row.position
            if row.refold_position:
                state.to_refold[row.partition] = row.refold_position
        await self._take_over(connection, state)

    async def _take_over(self, connection: AsyncConnection, state: State) -> None:
        """Make the state's partitions this owner's, with nothing stored of those at position 0."""
        empty = [partition for partition, position in state.positions.items() if position == 0]
        for table in (user_states, item_counters):
            await connection.execute(sa.delete(table).where(table.c.partition.in_(empty)))
        rows = [
            (each, position, self._fold, self._owner, state.to_refold.get(each, 0))
            for each, position in state.positions.items()
        ]
        await _upsert(connection, checkpoints, rows)

    async def save(self, state: State, snapshot: Snapshot) -> None:
        """Store a snapshot and the checkpoint of the state's partitions in one transaction. Raises like `check_owner`:
        then nothing is stored."""
        partitions = state.settings.partitions
        async with self._engine.begin() as connection:
            await self._lock_mine(connection, state)
            await _move_checkpoint(connection, state, snapshot)
            await _forget(connection, snapshot)
            await _upsert(connection, user_states, await _user_rows(snapshot, partitions))
            await _upsert(connection, item_counters, await _item_rows(snapshot))
        self._stored = {each: max(position, snapshot.position) for each, position in self._stored.items()}

    async def check_owner(self, state: State) -> None:
        """Raises OwnershipLostError when another instance has taken over a partition of the state, StateSetBackError
        when what is stored of one is older than what was stored here."""
        async with self._engine.begin() as connection:
            await self._lock_mine(connection, state)

    async def _lock_mine(self, connection: AsyncConnection, state: State) -> None:
        """Nobody else takes the partitions over before this transaction ends."""
        mine = sa.select(checkpoints).where(_of_partitions(state)).with_for_update()
        rows = {row.partition: row for row in await connection.execute(mine)}
        if any(row.owner != self._owner for row in rows.values()):
            raise OwnershipLostError("another instance has taken over a partition of this one")
        if any(each not in rows or rows[each].position < at for each, at in self._stored.items()):
            raise StateSetBackError("PostgreSQL holds an older state than was stored there")

    async def read_users(self, user_keys: Sequence[int]) -> list[StoredUser]:
        """The stored users among keys."""
        wanted = sa.bindparam("keys", [signed(key) for key in user_keys], ARRAY(sa.BigInteger))
        query = sa.select(user_states).where(user_states.c.user_key == sa.any_(wanted))
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            return [StoredUser(unsigned(row.user_key), row.record, row.departed) for row in rows]


async def _move_checkpoint(connection: AsyncConnection, state: State, snapshot: Snapshot) -> None:
    # A partition that was taken over further ahead than the others keeps its position: its rows reflect that.
    further = sa.func.greatest(checkpoints.c.position, snapshot.position)
    branches = {_NO_PARTITION: 0, **snapshot.to_refold}
    to_refold = sa.case(branches, value=checkpoints.c.partition, else_=0)
    moved = sa.update(checkpoints).where(_of_partitions(state))
    await connection.execute(moved.values(position=further, refold_position=to_refold))


def _of_partitions(state: State) -> sa.ColumnElement[bool]:
    return checkpoints.c.partition.in_(list(state.positions))


async def _user_rows(snapshot: Snapshot, partitions: int) -> list[tuple]:
    rows: list[tuple] = []
    for row, key in enumerate(snapshot.records["user_key"].tolist()):
        if row % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        record, departed = snapshot.records[row].tobytes(), snapshot.departed.get(key, b"")
        digest = entry_digest(key, record, departed).to_bytes(32, "little")
        rows.append((key % partitions, signed(key), record, departed, digest, snapshot.position))
    return rows


async def _item_rows(snapshot: Snapshot) -> list[tuple]:
    rows: list[tuple] = []
    for row, record in enumerate(snapshot.items):
        if row % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        rows.append((int(record["partition"]), signed(int(record["item_key"])), record.tobytes()))
    return rows


async def _forget(connection: AsyncConnection, snapshot: Snapshot) -> None:
    if snapshot.erased:
        erased = [signed(key) for key in snapshot.erased]
        await connection.execute(sa.delete(user_states).where(user_states.c.user_key.in_(erased)))
    if snapshot.emptied:
        emptied = item_counters.c.partition.in_(list(snapshot.emptied))
        await connection.execute(sa.delete(item_counters).where(emptied))


async def _upsert(connection: AsyncConnection, table: sa.Table, rows: list[tuple]) -> None:
    for start in range(0, len(rows), _ROWS):
        await connection.execute(bulk_upsert(table), as_arrays(table, rows[start : start + _ROWS]))


async def _load_users(connection: AsyncConnection, state: State, users_in_memory: int) -> set[int]:
    """Returns the partitions of rows that cannot be read."""
    damaged: set[int] = set()

    def fits(row: sa.Row) -> bool:
        return len(row.record) == state.users.records.itemsize and len(row.departed) % ITEM_BYTES == 0

    mine = sa.select(user_states).where(user_states.c.partition.in_(list(state.positions)))
    newest = mine.order_by(user_states.c.position.desc(), user_states.c.user_key)
    stream = await connection.stream(newest.limit(users_in_memory), execution_options={"yield_per": _ROWS})
    async for rows in stream.partitions(_ROWS):
        rows, wrong = _readable(rows, fits)
        damaged |= wrong
        keys = [unsigned(row.user_key) for row in rows]
        state.users.restore_all(keys, [row.record for row in rows], [row.departed for row in rows])
    others = newest.with_only_columns(user_states.c.user_key, user_states.c.digest).offset(users_in_memory)
    stream = await connection.stream(others, execution_options={"yield_per": _ROWS})
    async for rows in stream.partitions(_ROWS):
        away = np.array([unsigned(row.user_key) for row in rows], np.uint64)
        state.users.away.add(away, [int.from_bytes(row.digest, "little") for row in rows])
    return damaged


async def _load_items(connection: AsyncConnection, state: State) -> set[int]:
    """Returns the partitions of rows that cannot be read."""
    damaged: set[int] = set()
    columns = item_counters.c.partition, item_counters.c.record
    query = sa.select(*columns).where(item_counters.c.partition.in_(list(state.positions)))
    stream = await connection.stream(query, execution_options={"yield_per": _ROWS})
    async for rows in stream.partitions(_ROWS):
        rows, wrong = _readable(rows, lambda row: len(row.record) == ITEM_RECORD.itemsize)
        damaged |= wrong
        state.items.restore(np.frombuffer(b"".join([row.record for row in rows]), ITEM_RECORD))
    return damaged


def _readable(rows: Sequence[sa.Row], fits: Callable[[sa.Row], bool]) -> tuple[Sequence[sa.Row], set[int]]:
    """The rows that fit, and the partitions of the others."""
    readable = [row for row in rows if fits(row)]
    if len(readable) == len(rows):
        return rows, set()
    return readable, {row.partition for row in rows if not fits(row)}
