"""The model registry in PostgreSQL, and the announcements that wake those who serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from nats.aio.client import Client
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_FAILED, TRAINING_STATE_SUCCEEDED, TrainingRun
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.promotions import ChampionChangedError, Promotions, crown, locked_champion
from shared.adapters.postgres.tables import models, training_runs
from shared.domain.models.promotions import Cause, Promotion

ENDED = (TRAINING_STATE_SUCCEEDED, TRAINING_STATE_FAILED)
"""States of runs that change no more."""


@dataclass(frozen=True)
class RegisteredModel:
    """A row of the registry. metrics: by name; reason: of the gate's decision. compared_with: version of the champion
    that the gate compared it with; empty for none. continued_from: version of the model that training went on from;
    empty when it began anew."""

    model_version: str
    bundle_digest: str
    run_id: str
    create_time: datetime
    champion: bool
    promoted: bool
    reason: str
    trained_to_position: int
    item_count: int
    metrics: dict[str, float]
    compared_with: str = ""
    continued_from: str = ""


class Registry:
    """Reads and writes models and training runs. promotions: who became champion, and why."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.promotions = Promotions(engine)

    async def register(self, model: RegisteredModel, instead_of: str | None = None) -> None:
        """Add a model; when it is `champion`, the champion before it ceases to be, and that is noted as a promotion by
        training, in the same transaction. A model that is there already keeps its row but for the decision.

        instead_of: the champion that it was judged against, empty for none; raises ChampionChangedError when another
        one is champion by now. None when that does not matter.
        """
        async with self._engine.begin() as connection:
            before = await locked_champion(connection)
            if model.champion and instead_of is not None and before not in (instead_of, model.model_version):
                raise ChampionChangedError(before)
            await connection.execute(_put(replace(model, champion=model.model_version == before)))
            if model.champion and model.model_version != before:
                promotion = Promotion(
                    model.model_version, Cause.TRAINING, model.reason, before, model.create_time
                )
                await crown(connection, promotion)

    async def champion(self) -> RegisteredModel | None:
        """The model that should serve; None before there is one."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(models).where(models.c.champion))).mappings().first()
        return RegisteredModel(**row) if row else None

    async def model(self, model_version: str) -> RegisteredModel | None:
        """One model; None when there is none of that version."""
        query = sa.select(models).where(models.c.model_version == model_version)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return RegisteredModel(**row) if row else None

    async def list_models(self, limit: int) -> list[RegisteredModel]:
        """The newest models, the newest first: by how much of the log they have learned, since a clock that was ahead
        once would have later models pass for old ones, whose bundles are deleted and of which none is due anew."""
        newest = (models.c.trained_to_position.desc(), models.c.create_time.desc())
        return await self._models(sa.select(models).order_by(*newest).limit(limit))

    async def models_of(self, bundle_digests: Sequence[str]) -> list[RegisteredModel]:
        """The models that have one of these bundles."""
        query = sa.select(models).where(models.c.bundle_digest.in_(bundle_digests))
        return await self._models(query)

    async def _models(self, query: sa.Select[Any]) -> list[RegisteredModel]:
        async with self._engine.connect() as connection:
            return [RegisteredModel(**row) for row in (await connection.execute(query)).mappings()]

    async def learned_to(self) -> int:
        """The last position of the log that any model has learned; 0 without models. Not that of the newest model: a
        clock that was ahead once would make that one the newest for long."""
        query = sa.select(sa.func.max(models.c.trained_to_position))
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar() or 0

    async def save_run(self, run: TrainingRun, request_id: str = "") -> None:
        """Store a run as it is now; one that has ended stays as it ended, since a trainer that another one has followed
        may not know it yet. request_id: of the call that started it; kept from the first save."""
        statement = insert(training_runs).values(
            run_id=run.run_id,
            request_id=request_id or None,
            start_time=run.start_time.ToDatetime(tzinfo=UTC),
            payload=run.SerializeToString(),
        )
        newer = {"payload": statement.excluded.payload}
        async with self._engine.begin() as connection:
            if not await _has_ended(connection, run.run_id):
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=[training_runs.c.run_id], set_=newer)
                )

    async def run(self, run_id: str) -> TrainingRun | None:
        """One run; None when there is none of that id."""
        return await self._one_run(training_runs.c.run_id == run_id)

    async def run_of_request(self, request_id: str) -> TrainingRun | None:
        """The run that a call with this request id started; None when there was none."""
        return await self._one_run(training_runs.c.request_id == request_id)

    async def _one_run(self, condition: sa.ColumnElement[bool]) -> TrainingRun | None:
        async with self._engine.connect() as connection:
            payload = (await connection.execute(sa.select(training_runs.c.payload).where(condition))).scalar()
        return TrainingRun.FromString(payload) if payload is not None else None

    async def list_runs(self, limit: int, started_by: datetime | None = None) -> Sequence[TrainingRun]:
        """The newest runs, the newest first; those that had started by a time, or all."""
        query = sa.select(training_runs.c.payload).order_by(training_runs.c.start_time.desc()).limit(limit)
        if started_by is not None:
            query = query.where(training_runs.c.start_time <= started_by)
        async with self._engine.connect() as connection:
            return [
                TrainingRun.FromString(payload) for payload in (await connection.execute(query)).scalars()
            ]


async def _has_ended(connection: AsyncConnection, run_id: str) -> bool:
    """Nobody else changes the run before this transaction ends."""
    query = sa.select(training_runs.c.payload).where(training_runs.c.run_id == run_id).with_for_update()
    payload = (await connection.execute(query)).scalar()
    return payload is not None and TrainingRun.FromString(payload).state in ENDED


def _put(model: RegisteredModel) -> sa.Executable:
    row = {column.name: getattr(model, column.name) for column in models.columns}
    decided = {name: row[name] for name in ("champion", "promoted", "reason")}
    statement = insert(models).values(**row)
    return statement.on_conflict_do_update(index_elements=[models.c.model_version], set_=decided)


async def announce(connection: Client, names: Names, event: ModelEvent) -> None:
    """Tell those who serve models that there is news. The registry says what the champion is."""
    kind = "promoted" if event.promoted else "kept"
    await connection.jetstream().publish(names.subject(f"models.v1.{kind}"), event.SerializeToString())
