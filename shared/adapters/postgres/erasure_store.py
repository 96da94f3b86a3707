"""What PostgreSQL knows of erasures under way, and the rows that they delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from shared.adapters.codecs.keys import signed
from shared.adapters.postgres.bulk import as_arrays, bulk_insert
from shared.adapters.postgres.tables import erasure_targets, erasure_works, events, metadata

_PROFILES = "user_profile"
_ROWS = 10_000


class ErasureStore:
    """Keeps what an erasure found until all of it is gone, so that an erasure that was cut off counts right."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def found(self, receipt_id: str) -> ErasureReceipt | None:
        """The receipt with the counts of what was found; None while nothing was saved."""
        query = sa.select(erasure_works.c.receipt).where(erasure_works.c.receipt_id == receipt_id)
        async with self._engine.connect() as connection:
            receipt = (await connection.execute(query)).scalar()
        return ErasureReceipt.FromString(receipt) if receipt is not None else None

    async def save(self, receipt: ErasureReceipt, targets: Mapping[str, Sequence[int]]) -> None:
        """Keep a receipt and the messages to delete, by stream, in one transaction. What another has saved before for
        the same receipt stays, since some of it may be gone already."""
        row = {"receipt_id": receipt.receipt_id, "receipt": receipt.SerializeToString()}
        rows = [(receipt.receipt_id, stream, each) for stream, some in targets.items() for each in some]
        async with self._engine.begin() as connection:
            taken = await connection.execute(insert(erasure_works).values(**row).on_conflict_do_nothing())
            if taken.rowcount == 0:
                return
            for start in range(0, len(rows), _ROWS):
                some_rows = as_arrays(erasure_targets, rows[start : start + _ROWS])
                await connection.execute(bulk_insert(erasure_targets), some_rows)

    async def targets(self, receipt_id: str) -> dict[str, list[int]]:
        """The messages to delete, by stream, ascending."""
        table, found = erasure_targets.c, dict[str, list[int]]()
        query = sa.select(table.stream, table.sequence).where(table.receipt_id == receipt_id)
        async with self._engine.connect() as connection:
            for row in await connection.execute(query.order_by(table.stream, table.sequence)):
                found.setdefault(row.stream, []).append(row.sequence)
        return found

    async def under_way(self) -> list[str]:
        """Receipt ids of which something is kept."""
        async with self._engine.connect() as connection:
            return list((await connection.execute(sa.select(erasure_works.c.receipt_id))).scalars())

    async def clear(self, receipt_id: str) -> None:
        """Forget what was kept for an erasure."""
        async with self._engine.begin() as connection:
            for table in (erasure_targets, erasure_works):
                await connection.execute(sa.delete(table).where(table.c.receipt_id == receipt_id))

    async def count_rows(self, key: int, position: int) -> dict[str, int]:
        """How many rows each table that ingestion writes holds of a user up to `position`, by table name."""
        async with self._engine.connect() as connection:
            return {
                table.name: await _count(connection, table, condition)
                for table, condition in _rows_of(key, position)
            }

    async def delete_rows(self, key: int, position: int) -> None:
        """Delete these rows."""
        async with self._engine.begin() as connection:
            for table, condition in _rows_of(key, position):
                await connection.execute(sa.delete(table).where(condition))


async def _count(connection: AsyncConnection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(condition)
    return int((await connection.execute(query)).scalar_one())


def _rows_of(key: int, position: int) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """The rows of a user up to `position` in each table that holds them and that ingestion writes."""
    for table in (events, metadata.tables.get(_PROFILES)):
        if table is not None:
            yield table, (table.c.user_key == signed(key)) & (table.c.position <= position)
