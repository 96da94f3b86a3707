"""The event archive and the catalogue table in PostgreSQL: written once per event, read by the trainer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from asyncpg import UniqueViolationError
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from freshet.event.v1.event_pb2 import UserEvent
from shared.adapters.codecs.event_codec import decode_event
from shared.adapters.codecs.keys import signed, unsigned
from shared.adapters.postgres.archive_batch import ArchiveBatch
from shared.adapters.postgres.bulk import as_arrays, bulk_insert, bulk_upsert
from shared.adapters.postgres.tables import events, items, projections, user_profiles
from shared.domain.events.corrections import Correction, corrections_of, without_taken_back
from shared.domain.events.event import CORRECTS, EventType
from shared.domain.events.event_columns import EventColumns

ARCHIVE = "archive"
_READ_ROWS = 20_000


class ArchiveSetBackError(RuntimeError):
    """The archive holds the log up to `position` only, which is less than it held before: PostgreSQL was restored from
    a backup, or a replica took over that had not received everything."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the archive was set back to position {position}")
        self.position = position


PutEvents = Callable[[AsyncConnection, list[tuple]], Awaitable[None]]


async def _copy_events(connection: AsyncConnection, rows: list[tuple]) -> None:
    """Raises UniqueViolationError when one of them is there."""
    translated = connection.sync_connection.get_execution_options()["schema_translate_map"]  # type: ignore[union-attr]
    raw = (await connection.get_raw_connection()).driver_connection
    columns = [column.name for column in events.columns]
    await raw.copy_records_to_table(  # type: ignore[union-attr]
        events.name, records=rows, columns=columns, schema_name=translated[None]
    )


async def _insert_events(connection: AsyncConnection, rows: list[tuple]) -> None:
    """Those that are there stay as they are."""
    await connection.execute(_INSERT_EVENTS, as_arrays(events, rows))


class Archive:
    """Reads and writes the archive."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def position(self) -> int:
        """Up to where the archive holds the log."""
        query = sa.select(projections.c.position).where(projections.c.name == ARCHIVE)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar() or 0

    async def write(self, batch: ArchiveBatch, archived: int = 0) -> None:
        """Store a batch and its position in one transaction. Events that are there already stay as they are.

        archived: up to where the archive held the log when it was written last. Raises ArchiveSetBackError when it no
        longer does: what lies between is to be stored first.

        What lies before the archive's position was stored by another instance and may have been erased since: it is
        left out. COPY is the quick way in; should an event be there already, the batch takes the other.
        """
        try:
            await self._write(batch, archived, _copy_events)
        except UniqueViolationError:
            await self._write(batch, archived, _insert_events)

    async def _write(self, batch: ArchiveBatch, archived: int, put: PutEvents) -> None:
        async with self._engine.begin() as connection:
            if (position := await _locked_position(connection)) < archived:
                raise ArchiveSetBackError(position)
            batch = batch.after(position)
            if batch.events:
                await put(connection, batch.events)
            await _upsert(connection, items, batch.items)
            await _upsert(connection, user_profiles, batch.users)
            await connection.execute(_set_position(batch.position))

    async def positions_of(self, event_ids: Sequence[str]) -> dict[str, int]:
        """Positions of those events that the archive holds, by event id."""
        query = sa.select(events.c.event_id, events.c.position).where(
            events.c.event_id == sa.any_(sa.bindparam("ids", list(event_ids), ARRAY(sa.Text)))
        )
        async with self._engine.connect() as connection:
            return {row.event_id: row.position for row in await connection.execute(query)}

    async def event_ids(self) -> AsyncIterator[list[str]]:
        """All event ids, in groups."""
        async with self._engine.connect() as connection:
            stream = await connection.stream(
                sa.select(events.c.event_id), execution_options={"yield_per": _READ_ROWS}
            )
            async for rows in stream.partitions(_READ_ROWS):
                yield [row.event_id for row in rows]

    async def newest_payloads(self, user_keys: Sequence[int]) -> dict[int, tuple[int, bytes]]:
        """Position and payload of the newest event of each user who has one, by user key; reversals are passed over."""
        keys = sa.func.unnest(sa.bindparam("keys", [signed(key) for key in user_keys], ARRAY(sa.BigInteger)))
        wanted = keys.table_valued(sa.column("user_key", sa.BigInteger), name="wanted").render_derived()
        newest = (
            sa.select(events.c.position, events.c.payload)
            .where(events.c.user_key == wanted.c.user_key, events.c.event_type != EventType.REVERSAL)
            .order_by(events.c.position.desc())
            .limit(1)
            .lateral("newest")
        )
        query = sa.select(wanted.c.user_key, newest).select_from(wanted.join(newest, sa.true()))
        async with self._engine.connect() as connection:
            return {unsigned(key): (at, payload) for key, at, payload in await connection.execute(query)}

    async def payload_at(self, position: int) -> bytes:
        """The event at `position` as it lies in the log; empty when the archive does not hold it."""
        query = sa.select(events.c.payload).where(events.c.position == position)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar() or b""

    async def payloads_of(self, user_key: int, to_position: int) -> list[tuple[int, bytes]]:
        """Positions and payloads of a user's events up to `to_position`, in log order."""
        query = (
            sa.select(events.c.position, events.c.payload)
            .where(events.c.user_key == signed(user_key), events.c.position <= to_position)
            .order_by(events.c.position)
        )
        async with self._engine.connect() as connection:
            return [(row.position, row.payload) for row in await connection.execute(query)]

    async def count_after(self, position: int, to_position: int | None = None) -> int:
        """How many events lie behind `position`, and up to another, if one is given."""
        query = sa.select(sa.func.count()).select_from(events).where(events.c.position > position)
        if to_position is not None:
            query = query.where(events.c.position <= to_position)
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def newest_of(self, types: Iterable[int], behind: int, limit: int) -> list[tuple[int, bytes]]:
        """Positions and payloads of the newest `limit` events of these types behind a position, the newest first."""
        chosen = events.c.event_type.in_(list(types)) & (events.c.position > behind)
        query = sa.select(events.c.position, events.c.payload).where(chosen)
        query = query.order_by(events.c.position.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [(row.position, row.payload) for row in await connection.execute(query)]

    async def read_columns(self, to_position: int) -> EventColumns:
        """All events about items up to `to_position` as columns, one row per event and item, in log order, without
        those that later ones take back."""
        query = _COLUMNS.where(events.c.position <= to_position).order_by(events.c.position)
        async with self._engine.connect() as connection:
            stream = await connection.stream(query, execution_options={"yield_per": _READ_ROWS})
            parts = [event_columns(rows) async for rows in stream.partitions(_READ_ROWS)]
            corrections = await _read_corrections(connection, to_position)
        return without_taken_back(EventColumns.concatenate(parts), corrections)

    async def events_before(self, before: Mapping[int, int]) -> EventColumns:
        """All events about items of some users, each one's before a position of their own, in log order. before: by
        user key. What later events take back is there, too."""
        users = sa.bindparam("users", [signed(key) for key in before], ARRAY(sa.BigInteger))
        ends = sa.bindparam("ends", list(before.values()), ARRAY(sa.BigInteger))
        wanted = sa.func.unnest(users, ends).table_valued(
            sa.column("user_key", sa.BigInteger), sa.column("before", sa.BigInteger), name="wanted"
        )
        wanted = wanted.render_derived()
        before_theirs = sa.and_(events.c.user_key == wanted.c.user_key, events.c.position < wanted.c.before)
        query = _COLUMNS.join(wanted, before_theirs).order_by(events.c.position)
        async with self._engine.connect() as connection:
            return event_columns((await connection.execute(query)).all())


async def _read_corrections(connection: AsyncConnection, to_position: int) -> list[Correction]:
    correcting = events.c.event_type.in_([*CORRECTS, EventType.REVERSAL])
    query = sa.select(events.c.position, events.c.payload).where(correcting, events.c.position <= to_position)
    rows = await connection.stream(query, execution_options={"yield_per": _READ_ROWS})
    return [
        correction
        async for row in rows
        for correction in corrections_of(decode_event(row.position, UserEvent.FromString(row.payload)))
    ]


async def _locked_position(connection: AsyncConnection) -> int:
    """Up to where the archive holds the log; nobody else moves it before this transaction ends."""
    await connection.execute(insert(projections).values(name=ARCHIVE, position=0).on_conflict_do_nothing())
    query = sa.select(projections.c.position).where(projections.c.name == ARCHIVE).with_for_update()
    return int((await connection.execute(query)).scalar_one())


async def _upsert(connection: AsyncConnection, table: sa.Table, rows: dict[int, tuple]) -> None:
    if rows:
        await connection.execute(bulk_upsert(table), as_arrays(table, list(rows.values())))


def _set_position(position: int) -> sa.Executable:
    statement = insert(projections).values(name=ARCHIVE, position=position)
    greatest = sa.func.greatest(projections.c.position, statement.excluded.position)
    return statement.on_conflict_do_update(index_elements=[projections.c.name], set_={"position": greatest})


_COLUMNS = sa.select(
    events.c.position,
    events.c.user_key,
    events.c.event_type,
    events.c.time_ms,
    events.c.item_keys,
    events.c.item_values,
)
"""What `event_columns` reads."""
_INSERT_EVENTS = bulk_insert(events).on_conflict_do_nothing()


def event_columns(rows: Sequence[sa.Row]) -> EventColumns:
    """Rows of the archive, with its columns but id, partition and payload, in log order."""
    per_event = np.array([len(row.item_keys) // 8 for row in rows], np.int64)

    def spread(name: str) -> np.ndarray:
        return np.repeat(np.array([getattr(row, name) for row in rows], np.int64), per_event)

    return EventColumns(
        position=spread("position"),
        user_key=spread("user_key").view(np.uint64),
        item_key=np.frombuffer(b"".join(row.item_keys for row in rows), np.uint64),
        event_type=spread("event_type"),
        time_ms=spread("time_ms"),
        value=np.frombuffer(b"".join(row.item_values for row in rows), np.float32),
    )
