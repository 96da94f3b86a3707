"""Which models may have learned from events of users that were erased.

Decision: the mark is a condition, not a flag. A model read the archive at some moment after the log had come to its
`trained_to_position`. It holds nothing of the user if that lies before the user's first event, nor if it lies behind
the erasure's completion, since the archive's rows were gone by then. So a model that was in training during an erasure
is marked whenever it is registered. A model that went on from a marked one holds what that had learned, and is marked,
too.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.adapters.codecs.keys import signed
from shared.adapters.jetstream.erasures import ErasureStep
from shared.adapters.postgres.tables import erasures, models, projections

PROJECTION = "erasures"


class ModelErasures:
    """Reads and writes the erasures that the registry knows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def position(self) -> int:
        """Up to where the registry knows the log's erasures."""
        query = sa.select(projections.c.position).where(projections.c.name == PROJECTION)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar() or 0

    async def note(self, steps: Sequence[ErasureStep]) -> None:
        """Take in steps of erasures, at least one, and the position of the last, in one transaction."""
        rows = [_row(step) for step in steps if step.complete]
        position = insert(projections).values(name=PROJECTION, position=steps[-1].position)
        moved = {"position": sa.func.greatest(projections.c.position, position.excluded.position)}
        async with self._engine.begin() as connection:
            if rows:
                await connection.execute(insert(erasures).values(rows).on_conflict_do_nothing())
            await connection.execute(
                position.on_conflict_do_update(index_elements=[projections.c.name], set_=moved)
            )

    async def trained_since(self, first_position: int) -> list[str]:
        """Models that learned from the log at least up to `first_position`, the oldest first. For 0: none."""
        if first_position == 0:
            return []
        query = sa.select(models.c.model_version).where(models.c.trained_to_position >= first_position)
        async with self._engine.connect() as connection:
            return list((await connection.execute(query.order_by(models.c.create_time))).scalars())

    async def receipts_of(self, model_versions: Sequence[str]) -> dict[str, list[str]]:
        """Receipt ids of the erasures that mark each of these models, in the order of their completion."""
        lineage = _lineage(models.c.model_version.in_(list(model_versions)))
        query = (
            sa.select(lineage.c.model_version, erasures.c.receipt_id, erasures.c.complete_position)
            .join(models, models.c.model_version == lineage.c.ancestor)
            .join(erasures, _MARKED)
            .distinct()
            .order_by(erasures.c.complete_position)
        )
        marks: dict[str, list[str]] = {}
        async with self._engine.connect() as connection:
            for row in await connection.execute(query):
                marks.setdefault(row.model_version, []).append(row.receipt_id)
        return marks

    async def marked_by(self, receipt_id: str) -> list[str]:
        """Models that an erasure marks, the oldest first."""
        holders = _with_descendants(
            sa.select(models.c.model_version)
            .join(erasures, _MARKED)
            .where(erasures.c.receipt_id == receipt_id)
        )
        query = sa.select(models.c.model_version).where(
            models.c.model_version.in_(sa.select(holders.c.model_version))
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query.order_by(models.c.create_time))).scalars())


_MARKED = (
    (erasures.c.first_position > 0)
    & (models.c.trained_to_position >= erasures.c.first_position)
    & (models.c.trained_to_position < erasures.c.complete_position)
)


def _lineage(asked: sa.ColumnElement[bool]) -> sa.CTE:
    """Rows (model_version, ancestor): each model that is asked for with itself and all that it was continued from."""
    itself = sa.select(models.c.model_version, models.c.model_version.label("ancestor"))
    lineage = itself.where(asked).cte("lineage", recursive=True)
    before = sa.select(lineage.c.model_version, models.c.continued_from).join(
        models, models.c.model_version == lineage.c.ancestor
    )
    return lineage.union(before.where(models.c.continued_from != ""))


def _with_descendants(first: sa.Select[tuple[str]]) -> sa.CTE:
    """Rows (model_version,): the first models, and all that were continued from them."""
    holders = first.cte("holders", recursive=True)
    after = sa.select(models.c.model_version).join(
        holders, models.c.continued_from == holders.c.model_version
    )
    return holders.union(after)


def _row(step: ErasureStep) -> dict[str, object]:
    receipt = step.receipt
    return {
        "receipt_id": receipt.receipt_id,
        "user_key": signed(receipt.user_key),
        "first_position": receipt.first_position,
        "complete_position": step.position,
    }
