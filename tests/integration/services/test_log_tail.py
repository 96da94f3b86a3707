"""What other instances write, and what lay in the log before, is known before the archive has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from services.ingestion.writing.log_tail import LogTail
from shared.adapters.jetstream.log_writer import LogUnavailableError, LogWriter, Record
from shared.adapters.postgres.archive import Archive
from tests.conditions import eventually
from tests.integration.namespaces import Namespace, new_namespace

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def space(brokers) -> AsyncIterator[Namespace]:
    async with new_namespace(brokers) as made:
        yield made


@asynccontextmanager
async def following(space: Namespace, window_seconds: float = 120.0) -> AsyncIterator[LogTail]:
    tail = LogTail(space.nats, space.names, Archive(space.engine), window_seconds)
    work = asyncio.create_task(tail.follow())
    try:
        yield tail
    finally:
        work.cancel()
        await asyncio.wait([work])


async def append(space: Namespace, *event_ids: str, tail: LogTail | None = None) -> None:
    """As this instance does, whose tail is told, or else as another one."""
    writer = LogWriter(space.nats, tail.wrote if tail else None)
    work = asyncio.create_task(writer.run())
    await writer.append([Record(space.names.event_subject(0, "click"), each, b"") for each in event_ids])
    work.cancel()
    await asyncio.wait([work])


async def test_what_lay_in_the_log_is_known_once_the_tail_is_ready(space):
    await append(space, "a", "b")
    async with following(space) as tail:
        await tail.ready()
        assert [tail.ids.get(each) for each in ("a", "b", "c")] == [1, 2, None]


async def test_what_another_instance_wrote_is_known_when_the_window_may_have_passed(space):
    async with following(space, window_seconds=0.1) as tail:
        await tail.ready()
        await append(space, *map(str, range(300)))
        await eventually(lambda: "299" in tail.ids)
        await tail.up_to_date()
        assert len(tail.ids) == 300


async def test_a_tail_that_is_not_followed_is_not_up_to_date(space):
    await append(space, "a")
    tail = LogTail(space.nats, space.names, Archive(space.engine), 120.0)
    with pytest.raises(LogUnavailableError):
        await tail.up_to_date()


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(space):
    async with following(space) as tail:
        calls = [asyncio.create_task(tail.up_to_date()) for _ in range(2)]
        await asyncio.sleep(0)
        calls[0].cancel()
        assert await asyncio.wait_for(calls[1], 5) is None


async def no_consumer(space: Namespace) -> bool:
    return (await space.nats.jetstream().stream_info(space.names.events)).state.consumer_count == 0


async def fed(tail: LogTail, count: int) -> list[str]:
    """Ids of so many records that the archiver is handed."""
    ids: list[str] = []
    while len(ids) < count:
        ids += [each.message_id for each in await tail.feed.take(0)]
    return ids


async def test_what_the_instance_wrote_itself_is_not_read_back(space):
    await append(space, "a")
    async with following(space) as tail:
        await tail.ready()
        await eventually(lambda: no_consumer(space))
        await append(space, "b", "c", tail=tail)
        assert await fed(tail, 3) == ["a", "b", "c"]
        assert await no_consumer(space)


async def test_what_others_write_between_is_read(space):
    async with following(space) as tail:
        await tail.ready()
        await append(space, "a", tail=tail)
        await append(space, "b")
        await append(space, "c", tail=tail)
        await append(space, "d")
        assert await fed(tail, 4) == ["a", "b", "c", "d"]
        assert [tail.ids.get(each) for each in "abcd"] == [1, 2, 3, 4]
