"""From the request to erase a user on, before anything is deleted, nothing is told of them, and proofs know of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from freshet.catalog.v1.user_pb2 import User
from shared.adapters.codecs.keys import partition_of, user_key
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.feature_calls import (
    PARTITIONS,
    archived,
    erasure_requested,
    put_in_log,
    token_of,
    written,
)
from tests.integration.services.test_proofs import exposures, typed

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asked_for(features) -> AsyncIterator[str]:
    """A user with behaviour and a profile whose erasure is asked for, and nothing is deleted yet."""
    user = "asked-for"
    await features.client.upsert_users([User(user_id=user, country="BR")])
    await written(features, [message(user_id=user)])
    before = await features.client.get_user_features(user)
    await archived(features, before.position)
    assert (await features.client.get_user_features(user)).profile.country == "BR"
    await features.suite.kill("ingestion")
    await features.client.get_user_features(user, token_of(user, await erasure_requested(features, user)))
    yield user
    await features.suite.start("ingestion")
    await features.client.erase_user(user)


async def test_the_profile_is_hidden(features, asked_for):
    assert not (await features.client.get_user_features(asked_for)).HasField("profile")


async def test_nothing_is_told_as_of_any_position(features, asked_for):
    now = await features.client.get_user_features(asked_for)
    for position in (now.position - 1, now.position - 2):
        past = await features.client.get_user_features(asked_for, as_of_position=position)
        assert (dict(past.event_counts), past.HasField("profile")) == ({}, False)


async def test_a_restart_brings_nothing_back(features, asked_for):
    await features.suite.restart("feature")
    now = await features.client.get_user_features(asked_for)
    assert (dict(now.event_counts), now.HasField("profile")) == ({}, False)


async def test_replay_check_says_that_an_erasure_is_under_way(features, asked_for):
    ended, document = await typed(features, "replay-check")
    partition = partition_of(user_key(asked_for), PARTITIONS)
    assert [each["partition"] for each in document["partitions"] if not each["equal"]] == [partition]
    assert (ended.code, document["erasing"]) == (1, [partition])
    assert f"partitions [{partition}] cannot be compared" in ended.stderr and "differ" not in ended.stderr


async def test_skew_leaves_out_who_is_being_erased(features, asked_for):
    position = await put_in_log(features, message(event_id="behind the request", user_id=asked_for))
    await features.client.recommend(asked_for, min_consistency_token=token_of(asked_for, position))

    async def shown() -> bool:
        return any(each.user_id == asked_for for each in await exposures(features))

    await eventually(shown)
    ended, document = await typed(features, "skew")
    assert (ended.code, document["differences"]) == (0, 0)
