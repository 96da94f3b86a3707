"""What the catalogue says about items, as far as features need it, from the catalogue table in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from freshet.catalog.v1.item_pb2 import Item
from shared.adapters.codecs.event_codec import milliseconds
from shared.adapters.codecs.keys import signed, unsigned
from shared.adapters.postgres.tables import items
from shared.domain.users.user_features import ItemFacts


async def read_item_facts(connection: AsyncConnection, item_keys: Sequence[int]) -> dict[int, ItemFacts]:
    """Facts by key, of the items that the catalogue holds. Raises what SQLAlchemy raises while PostgreSQL is away."""
    wanted = sa.bindparam("keys", [signed(key) for key in item_keys], ARRAY(sa.BigInteger))
    query = sa.select(items.c.item_key, items.c.payload).where(items.c.item_key == sa.any_(wanted))
    rows = await connection.execute(query)
    return {unsigned(row.item_key): facts_of(Item.FromString(row.payload)) for row in rows}


def facts_of(item: Item) -> ItemFacts:
    """The facts in a catalogue item."""
    price = item.price if item.HasField("price") else float("nan")
    available_ms = milliseconds(item.available_time)
    return ItemFacts(item.item_id, tuple(item.categories), item.brand, price, available_ms)
