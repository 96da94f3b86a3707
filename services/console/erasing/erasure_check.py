"""Looks again, in every place, for what an erasure should have removed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import sqlalchemy as sa

from freshet.feature.v1.feature_pb2 import GetUserFeaturesResponse
from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from services.console.erasing.stores import Stores
from shared.adapters.codecs.keys import signed
from shared.adapters.jetstream.erasures import list_erasures
from shared.adapters.jetstream.scanning import last_sequence
from shared.adapters.jetstream.user_traces import OnProgress, Reach, TraceFinder, Traces, reach_of
from shared.adapters.postgres.erasure_store import ErasureStore
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.tables import checkpoints, erasure_targets, user_states

UNTIL_CHECKPOINT = "until the next checkpoint of the feature service"


@dataclass(frozen=True)
class Place:
    """A place that was looked at and how much of the user is left there. `left` None: it was not looked at, and `note`
    says why."""

    name: str
    left: int | None
    note: str = ""


class ErasureCheck:
    """The check of one receipt."""

    def __init__(self, stores: Stores, receipt: ErasureReceipt) -> None:
        self._stores = stores
        self._receipt = receipt
        self._finder = TraceFinder(stores.connection, stores.names, stores.partitions)
        self._rows = ErasureStore(stores.engine)

    async def ends(self) -> Reach:
        """The last sequences of the streams, to which the check looks."""
        return await self._finder.ends()

    async def places(
        self, end: Reach, features: GetUserFeaturesResponse | None, on_progress: OnProgress
    ) -> AsyncIterator[Place]:
        """Each place once it was looked at. features: what the live service says of the user now, if it was asked."""
        receipt, key = self._receipt, self._receipt.user_key
        left = await self._finder.find(key, reach_of(receipt), on_progress=on_progress)
        newer = await self._newer_events(end, on_progress)
        yield Place("log, events", len(left.events))
        yield Place("log, profile", len(left.profiles))
        yield Place("exposures", len(left.exposures) + len(await self._late_exposures(end, on_progress)))
        yield Place("dead letters", len(left.dead_letters) + len(left.redrives))
        for table, number in (await self._rows.count_rows(key, receipt.position)).items():
            yield Place(f"table {table}", number)
        yield await self._stored_state(newer)
        yield _live_state(features, newer)
        yield Place("table erasure_target", await self._targets())

    async def _newer_events(self, end: Reach, on_progress: OnProgress) -> int:
        """How many events of the user lie behind the erasure."""
        behind = Reach(self._receipt.position, end.exposures, end.dead_letters)
        newer: Traces = await self._finder.find(self._receipt.user_key, end, behind, on_progress)
        return len(newer.events)

    async def _late_exposures(self, end: Reach, on_progress: OnProgress) -> list[int]:
        """Exposures that came behind the erasure and yet show the user as before it."""
        receipt = self._receipt
        bounds = (receipt.exposures_sequence + 1, end.exposures)
        states = (1, receipt.position)
        return await self._finder.find_exposures(receipt.user_key, bounds, states, on_progress)

    async def awaits_checkpoint(self) -> bool:
        """Whether the user's state is still stored because its partition has no checkpoint behind the erasure yet: the
        feature service writes behind, and drops the state with its next one."""
        stored = user_states.join(checkpoints, user_states.c.partition == checkpoints.c.partition)
        older = checkpoints.c.position < self._receipt.position
        return await self._count(stored, self._is_of_user & older) > 0

    @property
    def _is_of_user(self) -> sa.ColumnElement[bool]:
        return user_states.c.user_key == signed(self._receipt.user_key)

    async def _stored_state(self, newer: int) -> Place:
        stored = await self._count(user_states, self._is_of_user)
        if stored and await self.awaits_checkpoint():
            return Place("table user_state", stored, UNTIL_CHECKPOINT)
        if stored and newer:
            return Place("table user_state", 0, f"of the {newer} events behind the receipt")
        return Place("table user_state", stored)

    async def _targets(self) -> int:
        return await self._count(erasure_targets, erasure_targets.c.receipt_id == self._receipt.receipt_id)

    async def _count(self, table: sa.FromClause, condition: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(table).where(condition)
        async with self._stores.engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def marked_models(self) -> list[str]:
        """Models that may have learned from the user, by the registry."""
        return await ModelErasures(self._stores.engine).marked_by(self._receipt.receipt_id)


def _live_state(features: GetUserFeaturesResponse | None, newer: int) -> Place:
    if features is None:
        return Place(
            "live features", None, "not known: that takes the user's id and an answer of the feature service"
        )
    folded = max(sum(features.event_counts.values()), len(features.history))
    note = f"of {newer} events behind the receipt" if newer else ""
    return Place("live features", max(0, folded - newer), note)


async def find_receipt(stores: Stores, receipt_id: str, key: int) -> ErasureReceipt | None:
    """The completed receipt of that id, or the newest one of that user; None when the log holds none."""
    last = await last_sequence(stores.connection, stores.names.events)
    receipts = [
        step.receipt for step in await list_erasures(stores.connection, stores.names, last) if step.complete
    ]
    wanted = [
        receipt
        for receipt in receipts
        if (receipt.receipt_id == receipt_id if receipt_id else receipt.user_key == key)
    ]
    return wanted[-1] if wanted else None
