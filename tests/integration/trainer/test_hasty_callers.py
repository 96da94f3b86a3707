"""Decisions about champions whose callers are in a hurry: who goes before the answer, and who asks twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from nats.js.errors import NotFoundError

from freshet.trainer.v1 import trainer_pb2 as api
from tests.conditions import eventually
from tests.integration.trainer.favourites import champion_of, favouring, newest_announcement, registered
from tests.integration.trainer.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def decisions_held_up(world: World) -> AsyncIterator[None]:
    """The registry can be read and not written while the context lasts."""
    async with world.engine.begin() as connection:
        await connection.exec_driver_sql(f'LOCK TABLE "freshet_{world.namespace}".model IN EXCLUSIVE MODE')
        yield


async def held_up(world: World, number: int) -> bool:
    """Whether so many decisions wait."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with world.engine.connect() as connection:
        return int((await connection.exec_driver_sql(waiting)).scalar_one()) >= number


async def test_what_is_decided_is_told_although_the_caller_has_gone(stage):
    world, trainer = stage
    await registered(world, favouring([1]))
    second = await registered(world, favouring([2]), champion=False)
    request = api.PromoteModelRequest(model_version=second, reason="I say so")
    async with decisions_held_up(world):
        call = trainer.stub.PromoteModel(request)
        await eventually(lambda: held_up(world, 1))
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call

    async def told() -> bool:
        with suppress(NotFoundError):
            return (await newest_announcement(world)).model_version == second
        return False

    await eventually(told)
    assert await champion_of(world) == second


async def test_the_same_rollback_asked_for_twice_at_once_has_one_answer(stage):
    world, trainer = stage
    _, second, _ = [await registered(world, favouring([number])) for number in (11, 12, 13)]
    request = api.RollbackModelRequest(reason="fewer clicks", request_id="once")
    async with decisions_held_up(world):
        calls = [asyncio.ensure_future(trainer.stub.RollbackModel(request)) for _ in range(2)]
        await eventually(lambda: held_up(world, 1))  # the other one waits its turn
    answers = await asyncio.gather(*calls)
    assert [each.model.model_version for each in answers] == [second, second]
    assert await champion_of(world) == second
