"""What users see while a service or a broker is away, and that nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest

from freshet.event.v1.event_pb2 import UserEvent
from freshet.ranking.v1.ranking_pb2 import RecommendRequest
from freshet.ranking.v1.ranking_pb2_grpc import RankingServiceStub
from shared.adapters.jetstream.log_reader import LogReader, LogSource
from shared.adapters.postgres.archive import Archive
from shared.client import DeadlineExceeded, FailedPrecondition, FreshetError, Unavailable
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.e2e.loop import degraded, item_ids
from tests.integration.services.conftest import Running, words
from tests.integration.services.feature_calls import token_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ids_in_log(running: Running) -> list[str]:
    """Event ids of the whole log, in order."""
    last = await running.log_length()
    source = LogSource(running.space.names.events, [running.space.names.subject("events.v1.*.*")])
    ids: list[str] = []
    if last:
        async for batch in LogReader(running.space.nats, source).batches():
            ids += [UserEvent.FromString(each.payload).event_id for each in batch]
            if batch[-1].position >= last:
                break
    return ids


async def archived(running: Running, *event_ids: str) -> bool:
    """Whether the archive holds these events."""
    return len(await Archive(running.space.engine).positions_of(event_ids)) == len(set(event_ids))


async def write_one_by_one(running: Running, number: int) -> list[str]:
    """Ids of the events that were acknowledged, until the service goes."""
    client, acknowledged = running.client.with_options(timeout_seconds=3), []

    async def write(event_id: str) -> None:
        try:
            await client.write_user_event(message(event_id=event_id))
        except FreshetError:
            return
        acknowledged.append(event_id)

    await asyncio.gather(*[write(f"one-{each}") for each in range(number)])
    return acknowledged


async def test_a_duplicate_past_the_window_of_nats_is_answered_with_its_first_position(start):
    running = await start("ingestion", duplicate_window_seconds="1")
    written = time.monotonic()
    first = await running.client.batch_write_user_events([message(event_id="a"), message(event_id="b")])
    await eventually(lambda: archived(running, "a", "b"))
    await running.suite.restart("ingestion")
    await eventually(lambda: time.monotonic() > written + 1.5)
    again = await running.client.batch_write_user_events([message(event_id="b"), message(event_id="a")])
    assert words(again.outcomes) == ["DUPLICATE", "DUPLICATE"]
    assert [each.position for each in reversed(again.outcomes)] == [each.position for each in first.outcomes]
    assert await running.log_length() == 2


async def test_a_service_told_to_stop_loses_nothing_that_it_acknowledged(start):
    running = await start("ingestion")
    calls = asyncio.create_task(write_one_by_one(running, 1500))
    await eventually(running.log_length)
    await running.suite.stop("ingestion")
    acknowledged = await calls
    assert running.suite.service("ingestion").child.returncode == 0
    assert acknowledged
    assert set(acknowledged) <= set(await ids_in_log(running))


@pytest.mark.parametrize("end, within_seconds", [("stop", 8), ("kill", 40)])
async def test_messages_at_the_nats_door_outlast_the_service(start, end, within_seconds):
    running = await start("ingestion")
    for number in range(300):
        await running.space.nats.publish(
            running.space.names.door, message(event_id=f"{number}").SerializeToString()
        )
    await eventually(running.log_length)
    await getattr(running.suite, end)("ingestion")
    await running.suite.start("ingestion")

    async def empty() -> bool:
        return await running.at_the_door() == 0

    await eventually(empty, within_seconds)
    assert sorted(await ids_in_log(running), key=int) == [str(number) for number in range(300)]


async def test_while_postgres_is_frozen_writes_and_recommendations_go_on(start, brokers):
    running = await start("ingestion", "feature", "ranking")
    await running.client.upsert_items([catalogue_item("i1"), catalogue_item("i2")])
    brokers.postgres.pause()
    try:
        for number in range(5):
            written = await running.client.write_user_event(message("rate", event_id=f"frozen-{number}"))
            answer = await running.client.recommend("u1", min_consistency_token=written.consistency_token)
            assert item_ids(answer) == ["i2"]
    finally:
        brokers.postgres.resume()
    await eventually(lambda: archived(running, *[f"frozen-{number}" for number in range(5)]))


async def test_what_was_acknowledged_before_a_crash_is_a_duplicate_after_it_though_nothing_is_archived(
    start, brokers
):
    running = await start("ingestion", duplicate_window_seconds="0.2")
    brokers.postgres.pause()
    try:
        first = await running.client.write_user_event(message(event_id="once"))
        await running.suite.kill("ingestion")
        await running.suite.start("ingestion")
        again = await running.client.write_user_event(message(event_id="once"))
    finally:
        brokers.postgres.resume()
    assert (words([again]), again.consistency_token) == (["DUPLICATE"], first.consistency_token)
    assert await ids_in_log(running) == ["once"]


async def test_while_nats_is_away_nothing_is_acknowledged_and_nothing_acknowledged_is_lost(start, brokers):
    running = await start("ingestion")
    await running.client.write_user_event(message(event_id="before"))
    await brokers.nats.sigkill()
    try:
        with pytest.raises((DeadlineExceeded, Unavailable)):
            hasty = running.client.with_options(timeout_seconds=1)
            await hasty.write_user_event(message(event_id="during"))
    finally:
        await brokers.nats.start()
    await eventually(lambda: taken(running, "during"))
    assert await ids_in_log(running) == ["before", "during"]


async def taken(running: Running, event_id: str) -> bool:
    """Whether the service takes the event now."""
    try:
        await running.client.write_user_event(message(event_id=event_id))
    except FreshetError:
        return False
    return True


async def test_while_features_are_away_answers_say_so_and_tokens_are_not_silently_ignored(start):
    running = await start("ingestion", "feature", "ranking")
    await running.client.upsert_items([catalogue_item("i1"), catalogue_item("i2")])
    known = (await running.client.write_user_event(message("rate"))).consistency_token
    await running.client.recommend("u1", min_consistency_token=known)
    await running.suite.kill("feature")
    answer = await running.client.recommend("u1")
    assert (item_ids(answer), degraded(answer)) == (["i2"], ["FEATURES_UNAVAILABLE", "NO_MODEL"])
    later = (await running.client.write_user_event(message("click"))).consistency_token
    with pytest.raises(Unavailable) as caught:
        await running.client.with_options(timeout_seconds=4).recommend("u1", min_consistency_token=later)
    assert caught.value.reason == "FEATURES_UNAVAILABLE"


async def test_a_token_that_is_not_reached_is_a_typed_error_at_the_deadline(start):
    running = await start("feature", "ranking")
    token = token_of("u1", 10**9)
    hasty = running.client.with_options(timeout_seconds=2)
    for call in (hasty.get_user_features("u1", token), hasty.recommend("u1", min_consistency_token=token)):
        with pytest.raises(FailedPrecondition) as caught:
            await call
        assert caught.value.reason == "CONSISTENCY_TOKEN_NOT_REACHED"


@pytest.mark.parametrize("beyond", [3, 10**9])
async def test_a_token_from_another_log_does_not_hold_up_those_that_are_reached_soon(start, beyond):
    running = await start("ingestion", "feature", "ranking")
    await running.client.write_user_event(message("rate"))
    length = await running.log_length()
    soon, never = token_of("u1", length + 1), token_of("u2", length + beyond)
    patient = running.client.with_options(timeout_seconds=10)
    calls = [
        asyncio.create_task(patient.recommend(user, min_consistency_token=token))
        for _ in range(20)
        for user, token in (("u2", never), ("u1", soon))
    ]
    await asyncio.wait(calls, timeout=0.2)  # all of them wait
    await running.client.write_user_event(message("click"))
    _, waiting = await asyncio.wait(calls, timeout=2.0)
    assert waiting == set(calls[::2])
    for refused in await asyncio.gather(*waiting, return_exceptions=True):
        assert refused.reason == "CONSISTENCY_TOKEN_NOT_REACHED"


async def test_that_a_frozen_feature_service_does_not_answer_is_told_before_the_deadline(start):
    running = await start("ingestion", "feature", "ranking")
    await running.client.write_user_event(message("rate"))
    later = token_of("u1", await running.log_length() + 1)
    feature = running.suite.service("feature")
    async with grpc.aio.insecure_channel(running.suite.address("ranking")) as channel:
        request = RecommendRequest(user_id="u1", min_consistency_token=later)
        feature.pause()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await RankingServiceStub(channel).Recommend(request, timeout=2)
        finally:
            feature.resume()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_frozen_feature_service_keeps_nobody_waiting_once_that_is_known(start):
    running = await start("ingestion", "feature", "ranking")
    await running.client.upsert_items([catalogue_item("i1"), catalogue_item("i2")])
    known = (await running.client.write_user_event(message("rate"))).consistency_token
    await running.client.recommend("u1", min_consistency_token=known)
    feature, hasty = running.suite.service("feature"), running.client.with_options(timeout_seconds=0.4)
    feature.pause()
    try:
        await running.client.recommend("u1")
        answers = await asyncio.gather(*[hasty.recommend("u1") for _ in range(100)])
    finally:
        feature.resume()
    assert {(*item_ids(each), *degraded(each)) for each in answers} == {
        ("i2", "FEATURES_UNAVAILABLE", "NO_MODEL")
    }

    async def fresh() -> bool:
        return degraded(await running.client.recommend("u1")) == ["NO_MODEL"]

    await eventually(fresh)


async def test_calls_that_wait_for_a_token_count_among_those_that_may_wait(start):
    running = await start("feature", "ranking", max_waiting="8")
    token = token_of("u1", 10**9)
    patient = running.client.with_options(timeout_seconds=3)
    calls = [patient.recommend("u1", min_consistency_token=token) for _ in range(20)]
    refused = await asyncio.gather(*calls, return_exceptions=True)
    assert {each.reason for each in refused} == {"CONSISTENCY_TOKEN_NOT_REACHED", "OVERLOADED"}
    assert sum(each.reason == "OVERLOADED" for each in refused) == 12


async def test_a_connection_that_asks_too_much_at_once_waits_and_no_other_does(start):
    running = await start("feature", "ranking", calls_per_connection="2")
    patient = running.client.with_options(timeout_seconds=30)
    token = token_of("u1", 10**9)
    waiting = [asyncio.create_task(patient.recommend("u1", min_consistency_token=token)) for _ in range(2)]
    await eventually(lambda: waits(running, 2))
    with pytest.raises(DeadlineExceeded):
        await running.client.with_options(timeout_seconds=0.5).recommend("u1")
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(running.suite.address("ranking"), options) as other:
        answer = await RankingServiceStub(other).Recommend(RecommendRequest(user_id="u1"), timeout=10)
    assert degraded(answer) == ["NO_MODEL"]
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def waits(running: Running, calls: int) -> bool:
    return await running.metric("ranking", "freshet_recommend_waiting_calls") == calls


async def test_what_a_user_did_is_seen_however_the_id_is_spelt(start):
    running = await start("ingestion", "feature", "ranking")
    await running.client.upsert_items([catalogue_item("i1"), catalogue_item("i2")])
    written = await running.client.write_user_event(message("rate", user_id="Zoe\u0308"))
    answer = await running.client.recommend(" Zo\u00eb", min_consistency_token=written.consistency_token)
    assert item_ids(answer) == ["i2"]
