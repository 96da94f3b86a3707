"""What must hold once everything runs again: nothing lost, nothing twice, archive and state those of the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.feature.v1.feature_pb2 import GetStateDigestRequest, GetStateDigestResponse
from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from services.console.log.log_fold import Log, fold_log
from services.console.log.replay_check import fold_settings
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.tables import events as archived_events
from shared.client import FailedPrecondition, FreshetClient
from shared.client.patience import PASSING, Patience
from shared.domain.consistency import encode_token
from shared.domain.fold.state import State
from shared.domain.fold.state_digest import digests
from tests.chaos.check import SHOWN, Check, differences
from tests.chaos.ledger import PARTITIONS, Ledger
from tests.chaos.log_facts import (
    Counts,
    LogFacts,
    fold_once,
    item_counts,
    only_plain,
    plain_counts,
    user_counts,
)
from tests.chaos.shoppers import catalogue, user_ids
from tests.conditions import eventually

CATCH_UP_SECONDS, CALL_SECONDS = 60.0, 30.0


@dataclass
class Proof:
    """facts: of the log when all is quiet. die_and_return: kills the feature service and starts it again."""

    facts: LogFacts
    ledger: Ledger
    log: Log
    client: FreshetClient
    engine: AsyncEngine
    die_and_return: Callable[[], Awaitable[None]]

    async def all(self) -> list[Check]:
        """Every check, in order."""
        served = await self._digests()
        once = fold_once(self.facts, fold_settings(served.fold, None))
        return [
            self._acknowledged_is_in_the_log(),
            await self._log_is_as_it_should_be(),
            self._told_positions(),
            self._erased_is_gone(),
            *await self._once(once),
            await self._archived(),
            *await self._same_digests(served, once),
        ]

    def _acknowledged_is_in_the_log(self) -> Check:
        lost = [each for each in self.ledger.acknowledged if each not in self.facts.positions]
        # Ingestion takes back by itself what it finds to be no person's doing.
        own = {each.event_id for each in self.facts.events if each.corrects_event_id in self.ledger.sent}
        strangers = [
            each for each in self.facts.positions if each not in self.ledger.sent and each not in own
        ]
        doubtful = len(self.facts.positions) - len(self.ledger.acknowledged) + len(lost) - len(own)
        figures = (
            f"{len(self.ledger.acknowledged):,} acknowledged, {len(lost)} not in the log; "
            f"{doubtful:,} more in the log that were never acknowledged, {len(own)} reversals by ingestion itself, "
            f"{len(strangers)} never sent"
        )
        wrong = {"lost": lost[:SHOWN], "never sent": strangers[:SHOWN]} if lost or strangers else {}
        return Check(1, "acknowledged = in the log", figures, wrong)

    async def _log_is_as_it_should_be(self) -> Check:
        """Ids that the log holds twice are no violation by themselves: nothing may count them twice."""
        between = self.facts.events_between_repeats()
        figures = (
            f"{len(self.facts.positions):,} distinct event ids up to position {self.facts.last:,}; "
            f"{len(self.facts.repeated)} in the log more than once, with at most {max(between, default=0)} "
            f"events of the same user between; gRPC accepted {len(self.ledger.accepted_again)} ids again"
        )
        wrong = {"misnamed": self.facts.misnamed[:SHOWN]} if self.facts.misnamed else {}
        repeated = list(self.facts.repeated.items())[:SHOWN]
        notes = {event_id: [await self._place(position) for position in at] for event_id, at in repeated}
        return Check(2, "the log's ids", figures, wrong, notes)

    async def _place(self, position: int) -> str:
        """A position with the time at which it was stored."""
        stored = await self.log.connection.jetstream().get_msg(self.log.names.events, position)
        return f"{position} at {stored.time}"

    def _told_positions(self) -> Check:
        """Who writes again hears where the event lies, and that is one place unless the log holds it twice."""
        told = self.ledger.positions
        wrong = {each: at for each, at in told.items() if not at <= set(self.facts.positions.get(each, ()))}
        figures = f"{len(told):,} ids told of with their position, {len(wrong)} wrongly"
        return Check(2, "told positions = positions in the log", figures, dict(list(wrong.items())[:SHOWN]))

    def _erased_is_gone(self) -> Check:
        """Archive and state are compared with the log: what is gone from it is gone from them."""
        erased, positions = self.ledger.erased, self.facts.positions
        left = {each: position for each, position in erased.items() if position in positions.get(each, ())}
        figures = f"{len(erased):,} events of users who were erased, {len(left)} still in the log"
        return Check(5, "erased = not in the log", figures, dict(list(left.items())[:SHOWN]))

    async def _once(self, once: State) -> list[Check]:
        users, items = user_ids(), [item.item_id for item in catalogue()]
        served_users, served_items = await self._served_users(users), await self._served_items(items)
        plain = plain_counts([each for each in self.facts.events if each.user_id in users])
        return [
            _same("user counts = distinct events folded once", user_counts(once, users), served_users),
            _same("user counts of uncorrected types = plain count", plain, only_plain(served_users)),
            _same("item counts = distinct events folded once", item_counts(once, items), served_items),
        ]

    async def _served_users(self, users: list[str]) -> Counts:
        features = [await self.client.get_user_features(user) for user in users]
        return {each.user_id: dict(each.event_counts) for each in features}

    async def _served_items(self, items: list[str]) -> Counts:
        answer = await self.client.batch_get_item_features(items)
        return {each.item_id: dict(each.event_counts) for each in answer.item_features}

    async def _archived(self) -> Check:
        archive, last = Archive(self.engine), max(at[-1] for at in self.facts.positions.values())

        async def caught_up() -> bool:
            return await archive.position() >= last

        await eventually(caught_up, timeout=CATCH_UP_SECONDS)
        query = sa.select(archived_events.c.event_id, archived_events.c.position)
        async with self.engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        found = {row.event_id: row.position for row in rows}
        wrong = differences({each: at[0] for each, at in self.facts.positions.items()}, found)
        if len(rows) != len(found):
            wrong["rows"] = len(rows)
        figures = f"{len(rows):,} rows, {len(found):,} distinct ids, each at its first position"
        return Check(3, "applied = archived", figures, wrong)

    async def _same_digests(self, served: GetStateDigestResponse, once: State) -> list[Check]:
        limits = {each.partition: int(each.position) for each in served.partition_digests}
        replayed = await fold_log(
            self.log, State(fold_settings(served.fold, None)), limits, lambda position: None
        )
        live = _by_partition(served.partition_digests)
        await self.die_and_return()
        again = _by_partition((await self._digests()).partition_digests)
        return [
            _digest_check("digest = clean replay", _by_partition(digests(replayed, range(PARTITIONS))), live),
            _digest_check(
                "digest = fold of distinct events", _by_partition(digests(once, range(PARTITIONS))), live
            ),
            _digest_check("digest after one more kill of feature", live, again),
        ]

    async def _digests(self) -> GetStateDigestResponse:
        """Of the live state, once it reflects the end of the log."""
        last = max(at[-1] for at in self.facts.positions.values())
        token = encode_token(dict.fromkeys(range(PARTITIONS), last))
        stub = FeatureServiceStub(self.client.channel("feature"))

        async def ask() -> GetStateDigestResponse:
            await self.client.get_user_features(user_ids()[0], token)
            request = GetStateDigestRequest(min_consistency_token=token)
            return await stub.GetStateDigest(request, timeout=CALL_SECONDS)

        passing = (*PASSING, FailedPrecondition, grpc.aio.AioRpcError)
        return await Patience(CATCH_UP_SECONDS).until_answered(ask, passing)  # type: ignore[arg-type]


def _same(name: str, expected: Counts, found: Counts) -> Check:
    total = sum(sum(counts.values()) for counts in found.values())
    wrong = differences(expected, found)
    return Check(2, name, f"{len(found)} answered, {total:,} events counted, {len(wrong)} differ", wrong)


def _by_partition(partition_digests: Any) -> dict[str, str]:
    return {f"partition {each.partition}": each.digest for each in partition_digests}


def _digest_check(name: str, expected: dict[str, str], found: dict[str, str]) -> Check:
    wrong = differences(expected, found)
    return Check(4, name, f"{len(found)} partitions, {len(wrong)} differ", wrong)
