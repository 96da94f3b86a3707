"""Of several trainers in one namespace, one works; another stands by until that one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.postgres import leadership as leadership_module
from shared.adapters.postgres.database import database_engine
from shared.adapters.postgres.leadership import Leadership, LeadershipLostError
from tests.integration.trainer.world import Trainer, World, eventually, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
HOLDERS = """FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND application_name LIKE 'freshet-trainer %'"""


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world) -> World:
    return await new_world()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(leadership_module, "_ASK_SECONDS", 0.05)
    monkeypatch.setattr(leadership_module, "_NOTICE_SECONDS", 0.2)


LOCK = sa.text("SELECT pg_advisory_lock(hashtextextended(:name, 0))")
UNLOCK = sa.text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
ASKING = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%'"


class Contender:
    """A process that wants to lead."""

    def __init__(self, world: World, engine: AsyncEngine | None = None) -> None:
        self.world = world
        self.leadership = Leadership(engine or world.engine, world.namespace, "trainer")
        self.task = asyncio.create_task(self.leadership.keep())

    async def leads(self) -> bool:
        return self.leadership.held.is_set() and not self.task.done()

    async def stands_by(self) -> bool:
        return self.leadership.stands_by

    async def asks_again(self) -> bool:
        async with self.world.engine.connect() as connection:
            return self.task.done() or bool(await connection.scalar(sa.text(f"SELECT count(*) {ASKING}")))

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


class Line:
    """A way to a server that can be cut so that the server does not notice.

    url: of the server, by this way.
    """

    def __init__(self, url: str) -> None:
        self.url = self._server = url
        self._ours, self._theirs = list[asyncio.StreamWriter](), list[asyncio.StreamWriter]()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Line]:
        line, parts = cls(url), urlsplit(url)
        async with await asyncio.start_server(line._join, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            line.url = url.replace(f":{parts.port}/", f":{port}/")
            yield line
            for writer in [*line._ours, *line._theirs]:
                writer.transport.abort()

    def cut(self) -> None:
        """End what there is on this side alone."""
        for writer in self._ours:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._server)
        their_reader, their_writer = await asyncio.open_connection(parts.hostname, parts.port)
        self._ours.append(writer)
        self._theirs.append(their_writer)
        await asyncio.gather(_pass_on(reader, their_writer), _pass_on(their_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def name_of(world: World) -> dict[str, str]:
    """Of the lock."""
    return {"name": f"freshet_{world.namespace} trainer"}


async def end_sessions(world: World) -> None:
    """As a restart of PostgreSQL does."""
    async with world.engine.connect() as connection:
        await connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {HOLDERS}"))


async def somebody_leads(world: World) -> bool:
    return await holder(world) is not None


async def holder(world: World) -> int | None:
    """The session that leads: its process in PostgreSQL."""
    async with world.engine.connect() as connection:
        return await connection.scalar(sa.text(f"SELECT pid {HOLDERS}"))


async def test_the_second_stands_by_until_the_first_has_ended(world):
    first = Contender(world)
    await eventually(first.leads)
    second = Contender(world)
    await eventually(second.stands_by)
    assert not await second.leads()
    await first.end()
    await eventually(second.leads)
    await second.end()


async def test_namespaces_have_leaders_of_their_own(new_world):
    contenders = [Contender(await new_world()) for _ in range(2)]
    for contender in contenders:
        await eventually(contender.leads)
        await contender.end()


async def test_a_leader_whose_session_ends_leads_on_when_nobody_else_wants_to(world):
    first = Contender(world)
    await eventually(first.leads)
    before = await holder(world)
    await end_sessions(world)

    async def leads_anew() -> bool:
        return await holder(world) not in (None, before)

    await eventually(leads_anew)
    second = Contender(world)
    await eventually(second.stands_by)
    assert await first.leads()
    await second.end()
    await first.end()


async def test_a_leader_ends_when_another_was_quicker_after_its_session_ended(world, monkeypatch):
    first = Contender(world)
    await eventually(first.leads)
    second = Contender(world)
    await eventually(second.stands_by)
    monkeypatch.setattr(leadership_module, "_NOTICE_SECONDS", 60.0)
    while not first.task.done():  # it is left to chance who is quicker
        await end_sessions(world)
        await asyncio.wait({first.task}, timeout=0.2)
    with pytest.raises(LeadershipLostError, match=f"another trainer leads in namespace '{world.namespace}'"):
        await first.task
    assert not await second.leads()
    await second.end()


async def test_a_leader_whose_line_was_cut_leads_on_although_postgres_has_not_noticed(world):
    async with (
        Line.to(world.brokers.database_url) as line,
        database_engine(line.url, world.namespace, "test") as engine,
    ):
        leader = Contender(world, engine)
        await eventually(leader.leads)
        before = await holder(world)
        line.cut()

        async def leads_anew() -> bool:
            return leader.task.done() or await holder(world) not in (None, before)

        await eventually(leads_anew)
        assert await leader.leads()
        await leader.end()


async def test_who_has_lost_the_lock_while_it_waited_for_another_to_notice_does_not_lead(world, monkeypatch):
    monkeypatch.setattr(leadership_module, "_NOTICE_SECONDS", 2.0)
    async with world.engine.connect() as other:
        await other.execute(LOCK, name_of(world))
        waiting = Contender(world)
        await eventually(waiting.stands_by)
        await other.execute(UNLOCK, name_of(world))
        await eventually(lambda: somebody_leads(world))
        await end_sessions(world)
        await other.execute(LOCK, name_of(world))
        await eventually(waiting.asks_again)
        assert not waiting.leadership.held.is_set()
        await waiting.end()
        await other.execute(UNLOCK, name_of(world))


async def test_a_run_is_not_taken_from_a_trainer_that_works(world):
    await world.happen(walks(range(60)))
    async with AsyncExitStack() as stack:
        async with world.trainer(train_encoder="cnn") as first:
            run = await first.learning()
            entering = asyncio.create_task(stack.enter_async_context(world.trainer()))
            await eventually(lambda: told_to_stand_by(world))
            ended = await end_of(first, run)
            assert (ended.state, ended.resumed_count) == (api.TRAINING_STATE_SUCCEEDED, 0)
            assert not entering.done()
        second = await entering
        assert (await second.get(run.run_id)).model_version == ended.model_version


async def told_to_stand_by(world: World) -> bool:
    return "stands by" in (world.directory / "logs" / "trainer.log").read_text()


async def end_of(trainer: Trainer, run: api.TrainingRun) -> api.TrainingRun:
    async for latest in trainer.watch(run.run_id):
        run = latest
    return run
