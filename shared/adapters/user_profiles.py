"""Reads what the archive knows of users beside their behaviour."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.catalog.v1.user_pb2 import User
from shared.adapters.keys import signed
from shared.adapters.tables import user_profiles


async def read_profile(engine: AsyncEngine, key: int) -> User | None:
    """The newest archived profile of the user with this key; None when there is none.

    It follows `UpsertUsers` by what the archive needs to catch up, some milliseconds. Raises what SQLAlchemy raises
    while PostgreSQL is away.
    """
    query = sa.select(user_profiles.c.payload).where(user_profiles.c.user_key == signed(key))
    async with engine.connect() as connection:
        payload = (await connection.execute(query)).scalar()
    return None if payload is None else User.FromString(payload)
