"""One stream of events while the log fails: outcomes before the failure are given, and nothing behind it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ingestion.v1.ingestion_pb2 import StreamUserEventsRequest
from services.ingestion.doors.event_stream import EventStream
from shared.adapters.jetstream.log_writer import LogOverloadedError, LogUnavailableError
from shared.runtime.errors import Refusal
from tests.builders import message
from tests.unit.ingestion.intakes import intake
from tests.unit.ingestion.test_event_writer import Log


def stream(log: Log) -> EventStream:
    return EventStream(intake(log), asyncio.Event())


async def requests(
    log: Log, number: int, failure: Exception | None
) -> AsyncIterator[StreamUserEventsRequest]:
    """Events, all answered before the log begins to fail, and ten more."""
    for index in range(number):
        yield StreamUserEventsRequest(user_event=message(event_id=f"good-{index}"))
    while len(log.records) < number:
        await asyncio.sleep(0)
    log.failure = failure
    for index in range(10):
        yield StreamUserEventsRequest(user_event=message(event_id=f"late-{index}"))


@pytest.mark.parametrize(
    "failure, code",
    [
        (LogOverloadedError("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (LogUnavailableError("away"), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_failing_log_ends_the_call_behind_the_last_good_outcome(failure, code):
    log, outcomes = Log(), []
    with pytest.raises(Refusal) as caught:
        async for response in stream(log).responses(requests(log, 5, failure)):
            outcomes.append(response.outcome.id)
    assert (caught.value.code, outcomes) == (code, [f"good-{index}" for index in range(5)])
    assert caught.value.details
    assert len(log.records) == 5


async def test_what_arrives_while_a_group_is_written_makes_up_the_next(monkeypatch):
    log, groups = Log(), []
    append = log.append

    async def noting(records):
        groups.append(len(records))
        return await append(records)

    monkeypatch.setattr(log, "append", noting)
    responses = [each async for each in stream(log).responses(requests(log, 1200, None))]
    assert len(responses) == 1210
    assert max(groups) <= 500
    assert [UserEvent.FromString(each.payload).event_id for each in log.records[:1200]] == [
        f"good-{index}" for index in range(1200)
    ]
