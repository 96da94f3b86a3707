"""Bytes that are no request get a typed error from every service, like any other bad request."""

from __future__ import annotations

import grpc
import pytest

from freshet.feature.v1.state_pb2 import ReadItemCountersRequest
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from shared.client import InvalidArgument
from shared.client.errors import Origin, decode_error
from tests.integration.services.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD_TEXT = b"\x0a\x02\xc3\x28"
"""The first field, a text that is no UTF-8."""


def call(running: Running, service: str, path: str):
    channel = running.client.channel(service)
    return (channel.unary_stream if "Watch" in path else channel.unary_unary)(f"/freshet.{service}.v1.{path}")


async def refusal(answer) -> InvalidArgument:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [each async for each in answer] if hasattr(answer, "__aiter__") else await answer
    error = decode_error(caught.value, Origin("", "", "", ""))
    assert isinstance(error, InvalidArgument)
    return error


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", BAD_TEXT])
@pytest.mark.parametrize(
    "service, path",
    [
        ("feature", "FeatureService/GetUserFeatures"),
        ("feature", "FeatureService/WatchUserFeatures"),
        ("feature", "FeatureService/BatchGetItemFeatures"),
        ("ranking", "RankingService/Recommend"),
        ("ranking", "RankingService/RankItems"),
    ],
)
async def test_it_is_named_as_malformed(features, service, path, payload):
    error = await refusal(call(features, service, path)(payload))
    assert [(each.field, each.reason) for each in error.violations] == [("request", "MALFORMED")]


async def test_an_id_longer_than_any_that_was_ever_written_is_refused_by_every_read_of_features(features):
    client, too_long = features.client, "x" * 129
    fields = []
    for read in (
        client.get_user_features(too_long),
        anext(client.watch_user_features(too_long)),
        client.batch_get_item_features(["a", too_long]),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await read
        fields += [(each.field, each.reason) for each in caught.value.violations]
    assert fields == [("user_id", "OUT_OF_RANGE")] * 2 + [("item_ids[1]", "OUT_OF_RANGE")]


async def test_the_trainers_too(start):
    running = await start("trainer")
    error = await refusal(call(running, "trainer", "TrainerService/GetTrainingRun")(BAD_TEXT))
    assert [(each.field, each.reason) for each in error.violations] == [("request", "MALFORMED")]


async def test_a_time_to_wait_that_is_no_number_is_none(features):
    stub = StateServiceStub(features.client.channel("feature"))
    request = ReadItemCountersRequest(item_keys=[1], min_position=1 << 60, wait_seconds=float("nan"))
    assert (await stub.ReadItemCounters(request, timeout=2)).position < 1 << 60
