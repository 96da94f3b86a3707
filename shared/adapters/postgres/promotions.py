"""The history of champions in PostgreSQL, and the one transaction in which a champion gives way to another."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.adapters.postgres.tables import models, promotions
from shared.domain.models.promotions import Cause, Promotion

_FIELDS = [column for column in promotions.columns if column.name != "number"]


class ChampionChangedError(Exception):
    """Another model than was expected is champion, named by `champion`; empty when none is."""

    def __init__(self, champion: str) -> None:
        super().__init__(f"the champion is {champion or 'none'} by now")
        self.champion = champion


class Promotions:
    """Reads and writes the decisions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def history(self) -> list[Promotion]:
        """All decisions, the oldest first."""
        query = sa.select(*_FIELDS).order_by(promotions.c.number)
        async with self._engine.connect() as connection:
            return [_promotion(row) for row in (await connection.execute(query)).mappings()]

    async def promote(self, promotion: Promotion) -> bool:
        """Make a registered model champion in place of `promotion.displaced`, in one transaction. False when it is
        champion already: nothing changes then. Raises ChampionChangedError when a third model is."""
        async with self._engine.begin() as connection:
            champion = await locked_champion(connection)
            if champion == promotion.model_version:
                return False
            if champion != promotion.displaced:
                raise ChampionChangedError(champion)
            await crown(connection, promotion)
        return True

    async def adopt(self) -> None:
        """Take over who became champion before there was a history: by the gate, in the order of registration."""
        promoted = sa.select(models).where(models.c.promoted).order_by(models.c.create_time)
        async with self._engine.begin() as connection:
            await locked_champion(connection)
            if (await connection.execute(sa.select(promotions.c.number).limit(1))).first():
                return
            displaced = ""
            for row in (await connection.execute(promoted)).mappings().all():
                version = row["model_version"]
                await _note(
                    connection,
                    Promotion(version, Cause.TRAINING, row["reason"], displaced, row["create_time"]),
                )
                displaced = version


async def locked_champion(connection: AsyncConnection) -> str:
    """The champion's version, empty for none; nobody else decides before this transaction ends."""
    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('freshet promotions'))"))
    query = sa.select(models.c.model_version).where(models.c.champion)
    return (await connection.execute(query)).scalar() or ""


async def crown(connection: AsyncConnection, promotion: Promotion) -> None:
    """Make a registered model the one champion and note why, under the lock of `locked_champion`."""
    await connection.execute(sa.update(models).where(models.c.champion).values(champion=False))
    chosen = models.c.model_version == promotion.model_version
    await connection.execute(sa.update(models).where(chosen).values(champion=True))
    await _note(connection, promotion)


async def _note(connection: AsyncConnection, promotion: Promotion) -> None:
    values = {column.name: getattr(promotion, column.name) for column in _FIELDS}
    values |= {"cause": promotion.cause.value, "request_id": promotion.request_id or None}
    await connection.execute(insert(promotions).values(**values))


def _promotion(row: sa.RowMapping) -> Promotion:
    values = {**row, "cause": Cause(row["cause"]), "request_id": row["request_id"] or ""}
    return Promotion(**values)
