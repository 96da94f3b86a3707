"""Going back in the log, from a real archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine

import pytest

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from services.feature.erasures import Erasures
from services.feature.time_travel import Past, PastUser
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_reader import LogMessage, LogRecord
from shared.adapters.jetstream.log_writer import Record
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.archive_batch import ArchiveBatch
from tests.builders import message, state

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVENTS = 2_000


@pytest.fixture
def erasures(space) -> Erasures:
    return Erasures(state(partitions=1), space.nats, space.names)


async def long_history(space, writer, erasures: Erasures) -> Past:
    """A user's way back through so many events."""
    subject = space.names.event_subject(0, "rate")
    events = [message("rate", event_id=f"{n}", items=[f"i{n}"]) for n in range(EVENTS)]
    payloads = [each.SerializeToString() for each in events]
    await writer.append([Record(subject, f"{n}", payload) for n, payload in enumerate(payloads)])
    batch = ArchiveBatch(EVENTS)
    batch.add_events([LogRecord(n + 1, subject, f"{n}", payload) for n, payload in enumerate(payloads)])
    archive, live = Archive(space.engine), state(partitions=1)
    await archive.write(batch)
    return Past(live.settings, archive, space.nats, space.names, erasures)


async def longest_turn(work: Coroutine[None, None, PastUser]) -> tuple[PastUser, float]:
    """The result, and what share of the time until it came the longest turn took in which nobody else had one."""
    task, begin, longest = asyncio.create_task(work), time.thread_time(), 0.0
    while not task.done():
        before = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - before)
    return task.result(), longest / (time.thread_time() - begin)


async def test_a_long_history_is_folded_without_holding_up_others(space, writer, erasures):
    past = await long_history(space, writer, erasures)
    tries = [await longest_turn(past.at(user_key("u1"), EVENTS, 20.0)) for _ in range(3)]
    assert [int(then.user.event_count.sum()) for then, _ in tries] == [EVENTS] * 3
    # The garbage collector may take a turn of one try, not of all.
    assert min(share for _, share in tries) < 0.25


async def test_nothing_is_told_of_a_user_whose_erasure_is_asked_for_meanwhile(space, writer, erasures):
    past, key = await long_history(space, writer, erasures), user_key("u1")
    telling = asyncio.create_task(past.at(key, EVENTS, 20.0))
    await asyncio.sleep(0)
    request = Erasure(receipt=ErasureReceipt(receipt_id="r", user_key=key)).SerializeToString()
    erasures.take([LogMessage(EVENTS + 1, space.names.erasure_subject(0), request, 0)])
    assert await telling == PastUser(None, None)
