"""Exposures on their way into a real stream."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from freshet.log.v1.log_pb2 import Exposure
from freshet.ranking.v1.ranking_pb2 import RecommendRequest
from services.ranking.answers.exposures import ExposureLog, Shown
from services.ranking.answers.policy import MODEL, Answer, Ranked
from services.ranking.answers.recommender import Served
from services.ranking.features.erased_users import ErasedUsers
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_writer import LogWriter
from tests.conditions import eventually
from tests.integration.namespaces import takes_nothing
from tests.unit.ranking.model import NOW_MS, state

pytestmark = pytest.mark.asyncio(loop_scope="session")


def shown(number: int) -> Shown:
    answer = Answer([Ranked("a", 1, 0.5, MODEL)], by_model=True)
    return Shown(RecommendRequest(user_id="u1"), f"token-{number}", Served(answer, state("a"), None, NOW_MS))


async def test_a_drain_waits_for_what_is_on_its_way(space):
    writer = LogWriter(space.nats)
    exposures = ExposureLog(writer, space.names, 16, ErasedUsers())
    exposures.add(shown(1))
    async with at_work(exposures.run):
        await eventually(lambda: not exposures._kept)
        drain = asyncio.create_task(exposures.drain())
        async with at_work(writer.run):
            await drain
            stream = await space.nats.jetstream().stream_info(space.names.stream("EXPOSURES"))
    assert stream.state.messages == 1


async def test_a_drain_publishes_all_that_is_kept(space, writer):
    exposures = ExposureLog(writer, space.names, 16, ErasedUsers())
    for number in range(1200):
        exposures.add(shown(number))
    await exposures.drain()
    name, jetstream = space.names.stream("EXPOSURES"), space.nats.jetstream()
    assert (await jetstream.stream_info(name)).state.messages == 1200
    first = Exposure.FromString((await jetstream.get_msg(name, 1)).data)
    assert (first.attribution_token, first.user_id) == ("token-0", "u1")


async def test_what_the_stream_does_not_take_is_published_later_in_its_order(space, writer):
    exposures, name = ExposureLog(writer, space.names, 16, ErasedUsers()), space.names.stream("EXPOSURES")
    for number in range(2):
        exposures.add(shown(number))
    async with takes_nothing(space.nats, name):
        await exposures.drain()
    await exposures.drain()
    stored = [await space.nats.jetstream().get_msg(name, position) for position in (1, 2)]
    assert [Exposure.FromString(each.data).attribution_token for each in stored] == ["token-0", "token-1"]


async def test_what_waits_for_the_stream_keeps_neither_the_request_nor_the_state_in_memory(space, writer):
    exposures, made = ExposureLog(writer, space.names, 16, ErasedUsers()), shown(1)
    parts = (made.request, made.served.state.item_key)
    before = [sys.getrefcount(each) for each in parts]
    exposures.add(made)
    del made
    after = [sys.getrefcount(each) for each in parts]
    assert all(now < then for now, then in zip(after, before, strict=True))
    await exposures.drain()


async def test_what_was_shown_to_a_user_who_was_erased_since_is_not_published(space, writer):
    erased = ErasedUsers()
    exposures = ExposureLog(writer, space.names, 16, erased)
    exposures.add(shown(1))
    erased.add(user_key("u1"), shown(1).served.state.position + 1)
    exposures.add(shown(2)._replace(request=RecommendRequest(user_id="u2")))
    await exposures.drain()
    stored = await space.nats.jetstream().get_msg(space.names.stream("EXPOSURES"), 1)
    assert Exposure.FromString(stored.data).user_id == "u2"


@contextlib.asynccontextmanager
async def at_work(worker: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """A worker that runs meanwhile."""
    task = asyncio.create_task(worker())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
