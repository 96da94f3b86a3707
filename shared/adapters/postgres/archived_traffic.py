"""Stretches of the archive, for telling whether traffic changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.codecs.keys import signed, unsigned
from shared.adapters.postgres.archive import event_columns
from shared.adapters.postgres.tables import events
from shared.domain.events.event_columns import EventColumns


class ArchivedTraffic:
    """Reads the archive."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self, after: int, to_position: int, types: Collection[int], limit: int) -> EventColumns:
        """The newest events about items behind `after` and up to `to_position`, those of some types, at most `limit`
        of them, in log order. What later events take back is there, too."""
        query = (
            sa.select(
                events.c.position, events.c.user_key, events.c.event_type, events.c.time_ms,
                events.c.item_keys, events.c.item_values,
            )
            .where(events.c.position > after, events.c.position <= to_position, events.c.event_type.in_(types))
            .order_by(events.c.position.desc())
            .limit(limit)
        )  # fmt: skip
        async with self._engine.connect() as connection:
            return event_columns((await connection.execute(query)).all()[::-1])

    async def history_lengths(
        self, user_keys: Sequence[int], before: int, types: Collection[int], most: int
    ) -> dict[int, int]:
        """How many events of some types users have before a position, by user key; counted up to `most`, so that users
        of many events cost no more than others."""
        keys = sa.func.unnest(sa.bindparam("keys", [signed(key) for key in user_keys], ARRAY(sa.BigInteger)))
        wanted = keys.table_valued(sa.column("user_key", sa.BigInteger), name="wanted").render_derived()
        newest = (
            sa.select(events.c.position)
            .where(events.c.user_key == wanted.c.user_key, events.c.position < before)
            .where(events.c.event_type.in_(types))
            .order_by(events.c.position.desc())
            .limit(most)
            .lateral("newest")
        )
        query = (
            sa.select(wanted.c.user_key, sa.func.count(newest.c.position).label("count"))
            .select_from(wanted.outerjoin(newest, sa.true()))
            .group_by(wanted.c.user_key)
        )
        async with self._engine.connect() as connection:
            return {unsigned(row.user_key): row[1] for row in await connection.execute(query)}
