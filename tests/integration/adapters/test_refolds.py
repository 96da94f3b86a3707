"""Partitions that are folded anew after erasures, from a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from services.feature import erasures as at_work
from services.feature.erasures import Erasures
from services.feature.fold_anew import fold_anew
from shared.adapters.codecs.keys import item_key, user_key
from shared.adapters.jetstream.log_reader import LogMessage
from shared.domain.fold.state import State
from shared.domain.fold.state_digest import digest
from tests.builders import message, state

pytestmark = pytest.mark.asyncio(loop_scope="session")
USERS = ["ann", "bob", "cat", "dan"]


class Log:
    """A log of one partition, in which each user has rated an item of their name."""

    def __init__(self, space) -> None:
        self.space, self.position_of = space, {}

    async def publish(self, subject: str, payload: bytes) -> int:
        return (await self.space.nats.jetstream().publish(subject, payload)).seq

    async def rated(self, user: str) -> None:
        subject = self.space.names.event_subject(0, "rate")
        self.position_of[user] = await self.publish(
            subject, message("rate", user, [user]).SerializeToString()
        )

    async def erased(self, user: str) -> LogMessage:
        """What tells that nothing of the user is left; and nothing is."""
        jetstream, names = self.space.nats.jetstream(), self.space.names
        await jetstream.delete_msg(names.events, self.position_of[user])
        receipt = ErasureReceipt(receipt_id=user, user_key=user_key(user), deleted_events=1)
        receipt.complete_time.FromSeconds(1)
        subject, payload = names.erasure_subject(0), Erasure(receipt=receipt).SerializeToString()
        return LogMessage(await self.publish(subject, payload), subject, payload, behind=0)

    async def folded(self) -> State:
        """The state of what the log holds now."""
        folded, last = state(partitions=1), max(self.position_of.values())
        await fold_anew(self.space.nats, self.space.names, folded, last)
        return folded


@asynccontextmanager
async def running(erasures: Erasures) -> AsyncIterator[None]:
    work = asyncio.create_task(erasures.run())
    try:
        yield
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def counted(live: State) -> set[str]:
    """Whose ratings items still count."""
    return {user for user in USERS if live.items.of_items([item_key(user)])["event_count"].any()}


async def test_erasures_that_end_while_their_partition_is_folded_anew_do_not_hold_it_up(space, monkeypatch):
    log = Log(space)
    for user in USERS:
        await log.rated(user)
    live = await log.folded()
    erasures, coming, counted_at_each_turn = Erasures(live, space.nats, space.names), USERS[1:], []

    async def another_ends_meanwhile(*arguments) -> None:
        counted_at_each_turn.append(counted(live))
        await fold_anew(*arguments)
        if coming:
            erasures.take([await log.erased(coming.pop(0))])

    monkeypatch.setattr(at_work, "fold_anew", another_ends_meanwhile)
    for user in USERS:
        live.erase(user_key(user))
    erasures.take([await log.erased(USERS[0])])
    async with running(erasures), asyncio.timeout(20):
        await erasures.settled()
    assert counted_at_each_turn == [set(USERS[turn:]) for turn in range(len(USERS))]
    assert digest(live) == digest(state(partitions=1))
