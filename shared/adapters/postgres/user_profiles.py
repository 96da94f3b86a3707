"""Reads what is known of users beside their behaviour: the newest version in the archive, earlier ones in the log."""

from __future__ import annotations

import sqlalchemy as sa
from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncConnection

from freshet.catalog.v1.user_pb2 import User
from shared.adapters.codecs.keys import signed
from shared.adapters.jetstream.scanning import Stretch, scan
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.tables import user_profiles


async def read_profile(connection: AsyncConnection, key: int, after: int = 0) -> User | None:
    """The newest archived profile of the user with this key; None when there is none behind position `after`.

    It follows `UpsertUsers` by what the archive needs to catch up, some milliseconds. Raises what SQLAlchemy raises
    while PostgreSQL is away.
    """
    of_user = (user_profiles.c.user_key == signed(key)) & (user_profiles.c.position > after)
    payload = (await connection.execute(sa.select(user_profiles.c.payload).where(of_user))).scalar()
    return None if payload is None else User.FromString(payload)


async def profile_as_of(
    connection: Client, names: Names, key: int, position: int, after: int = 0
) -> User | None:
    """The profile that counted at `position` of the log; None when none was written behind `after`.

    Raises StreamError, and what nats-py raises while NATS is away.
    """
    newest = None
    versions = Stretch(names.events, names.user_subject(key), last=position, first=after + 1)
    async for batch in scan(connection, versions):
        newest = batch[-1] if batch else newest
    return None if newest is None else User.FromString(newest.payload)
