"""RankItems over the wire: the caller's items, in order, with probabilities; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import pytest_asyncio

from freshet.log.v1.log_pb2 import Exposure
from freshet.ranking.v1.ranking_pb2 import DegradedReason
from shared.client import FailedPrecondition, InvalidArgument
from shared.domain.consistency import decode_token, encode_token
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.integration.services.conftest import services
from tests.integration.services.test_swaps import model, promote, sees_features, serves
from tests.unit.ranking.model import ITEMS, with_ranker

pytestmark = pytest.mark.asyncio(loop_scope="session")
SIGMOID_OF_1 = 1 / (1 + np.exp(-1))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(brokers, tmp_path_factory):
    """Services, a catalogue, and a user who clicked "a"."""
    names = ("ingestion", "feature", "ranking")
    async with services(brokers, tmp_path_factory.mktemp("rank"), names) as started:
        await started.client.upsert_items([catalogue_item(each) for each in ITEMS])
        await started.client.write_user_event(message("click", items=["a"]))
        await eventually(lambda: sees_features(started))
        yield started


async def test_without_a_ranker_items_are_ranked_and_the_lack_is_told(running):
    without = (await running.client.rank_items("u1", ["b", "a"])).degraded
    assert DegradedReason.DEGRADED_REASON_NO_PROBABILITIES in without
    await serves(running, await promote(running, model(1)))
    answer = await running.client.rank_items("u1", ["b", "a"])
    assert [result.item_id for result in answer.results] == ["a", "b"]
    assert list(answer.degraded) == [DegradedReason.DEGRADED_REASON_NO_PROBABILITIES]


async def test_items_are_ranked_with_probabilities_that_the_status_explains(running):
    version = await promote(running, with_ranker(model(0)))
    await serves(running, version)
    answer = await running.client.rank_items("u1", ["nowhere", "b", "a"])
    assert [(each.item_id, each.source, each.position) for each in answer.results] == [
        ("a", "model", 1), ("b", "model", 2), ("nowhere", "unknown", 3),
    ]  # fmt: skip
    assert answer.results[0].probabilities["click"] == pytest.approx(SIGMOID_OF_1, abs=1e-6)
    assert answer.results[1].probabilities["purchase"] == pytest.approx(0.5)
    assert dict(answer.results[2].probabilities) == {}
    assert (answer.model_version, list(answer.degraded)) == (version, [])
    serving = (await running.client.get_model_status()).serving
    assert (list(serving.objectives), serving.probabilities_given) == (["click", "purchase"], "shown")


async def test_the_answer_reflects_the_token(running):
    await serves(running, await promote(running, with_ranker(model(2))))
    written = await running.client.write_user_event(message("click", user_id="fresh", items=["c"]))
    token = written.consistency_token
    answer = await running.client.rank_items("fresh", ["a", "c"], min_consistency_token=token)
    assert [result.item_id for result in answer.results] == ["c", "a"]
    assert decode_token(answer.consistency_token).items() >= decode_token(token).items()


async def test_a_token_that_is_not_reached_is_a_typed_error(running):
    partition = next(iter(decode_token((await running.client.rank_items("u1", ["a"])).consistency_token)))
    far = encode_token({partition: 10**9})
    with pytest.raises(FailedPrecondition):
        await running.client.with_options(1.0).rank_items("u1", ["a"], min_consistency_token=far)


async def test_a_token_of_a_log_with_more_partitions_is_refused_not_taken_for_reached(running):
    token = encode_token({2**16 - 1: 1})
    client = running.client
    for answer in (
        client.rank_items("u1", ["a"], min_consistency_token=token),
        client.recommend("u1", min_consistency_token=token),
        client.get_user_features("u1", token),
        client.batch_get_item_features(["a"], token),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await answer
        assert [each.field for each in caught.value.violations] == ["min_consistency_token"]


async def test_bad_candidates_are_refused_by_name(running):
    with pytest.raises(InvalidArgument) as caught:
        await running.client.rank_items("u1", ["a", "a"])
    assert "item_ids[1]" in str(caught.value)


async def test_recommendations_have_probabilities_when_asked_for(running):
    await serves(running, await promote(running, with_ranker(model(3))))
    plain = await running.client.recommend("u1")
    asked = await running.client.recommend("u1", with_probabilities=True)
    assert [each.item_id for each in plain.results] == [each.item_id for each in asked.results]
    assert not any(each.probabilities for each in plain.results)
    assert all(set(each.probabilities) == {"click", "purchase"} for each in asked.results)


async def exposures(running) -> list[Exposure]:
    """All that was logged as shown, the oldest first."""
    stream, jetstream = running.space.names.stream("EXPOSURES"), running.space.nats.jetstream()
    last = (await jetstream.stream_info(stream)).state.last_seq
    return [
        Exposure.FromString((await jetstream.get_msg(stream, position)).data)
        for position in range(1, last + 1)
    ]


async def test_only_recommendations_are_logged_as_shown(running):
    await running.client.rank_items("ranker", ["a", "b"])
    token = (await running.client.recommend("watcher")).attribution_token

    async def logged() -> list[Exposure]:
        return [each for each in await exposures(running) if each.attribution_token == token]

    await eventually(logged)
    assert not [each for each in await exposures(running) if each.user_id == "ranker"]
