"""The archiver on a real log and a real database."""

from __future__ import annotations

import asyncio

import pytest

from services.ingestion.archive.archive_feed import ArchiveFeed
from services.ingestion.archive.archived_ids import ArchivedIds
from services.ingestion.archive.archiver import Archiver, ArchiveSource
from shared.adapters.jetstream.log_append import Record
from shared.adapters.jetstream.log_reader import LogRecord
from shared.adapters.postgres.archive import Archive
from tests.builders import message
from tests.conditions import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def in_log(space, writer, number: int) -> list[LogRecord]:
    """So many events, as the log's tail reads them."""
    subject = space.names.event_subject(3, "click")
    payloads = [message(event_id=f"e{each}").SerializeToString() for each in range(number)]
    records = [Record(subject, f"e{each}", payload) for each, payload in enumerate(payloads)]
    answers = await writer.append(records)
    return [LogRecord(at.position, *record) for at, record in zip(answers, records, strict=True)]


async def test_what_the_feed_had_to_drop_is_archived_from_the_log(space, writer):
    feed, archive = ArchiveFeed(most_records=2), Archive(space.engine)
    feed.begin(0)
    feed.offer(await in_log(space, writer, 5))
    archiver = Archiver(
        ArchiveSource(space.nats, space.names, feed), archive, ArchivedIds(archive), batch_events=2
    )
    work = asyncio.create_task(archiver.run())

    async def caught_up() -> bool:
        return await archive.position() == 5

    await eventually(caught_up)
    work.cancel()
    await asyncio.wait([work])
    assert await archive.count_after(0) == 5
