"""The archiver on a real log and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from services.ingestion.archive.archive_feed import ArchiveFeed
from services.ingestion.archive.archived_ids import ArchivedIds
from services.ingestion.archive.archiver import Archiver, ArchiveSource
from shared.adapters.jetstream.log_append import Record
from shared.adapters.jetstream.log_reader import LogRecord
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.tables import events, projections
from tests.builders import message
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def in_log(space, writer, number: int, word: str = "e") -> list[LogRecord]:
    """So many events, as the log's tail reads them. word: what their ids begin with."""
    subject = space.names.event_subject(3, "click")
    ids = [f"{word}{each}" for each in range(number)]
    records = [Record(subject, each, message(event_id=each).SerializeToString()) for each in ids]
    answers = await writer.append(records)
    return [LogRecord(at.position, *record) for at, record in zip(answers, records, strict=True)]


async def test_what_the_feed_had_to_drop_is_archived_from_the_log(space, writer):
    feed, archive = ArchiveFeed(most_records=2), Archive(space.engine)
    feed.begin(0)
    feed.offer(await in_log(space, writer, 5))
    async with archiving(space, feed):
        await eventually(partial(stands_at, archive, 5))
    assert await archive.count_after(0) == 5


async def test_what_postgres_has_lost_is_archived_again(space, writer):
    feed, archive = ArchiveFeed(), Archive(space.engine)
    feed.begin(0)
    async with archiving(space, feed):
        feed.offer(await in_log(space, writer, 5))
        await eventually(partial(stands_at, archive, 5))
        await set_back(space, 2)
        feed.offer(await in_log(space, writer, 3, "later"))
        await eventually(partial(stands_at, archive, 8))
    assert await archive.count_after(0) == 8


@asynccontextmanager
async def archiving(space, feed: ArchiveFeed) -> AsyncIterator[None]:
    """An archiver at work."""
    source, archive = ArchiveSource(space.nats, space.names, feed), Archive(space.engine)
    work = asyncio.create_task(Archiver(source, archive, ArchivedIds(archive), batch_events=2).run())
    yield
    work.cancel()
    await asyncio.wait([work])


async def stands_at(archive: Archive, position: int) -> bool:
    return await archive.position() == position


async def set_back(space, position: int) -> None:
    """PostgreSQL as it was at that position, as a replica may have it that takes over."""
    async with space.engine.begin() as connection:
        await connection.execute(sa.delete(events).where(events.c.position > position))
        await connection.execute(sa.update(projections).values(position=position))
