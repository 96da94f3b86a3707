"""The profile that `UpsertUsers` wrote comes with the user's features."""

from __future__ import annotations

import pytest

from freshet.catalog.v1.user_pb2 import User
from freshet.feature.v1.feature_pb2 import GetUserFeaturesResponse
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import without_postgres

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def described(running: Running, user: User) -> GetUserFeaturesResponse:
    """The user's features, once they come with this profile."""
    await running.client.upsert_users([user])

    async def there() -> GetUserFeaturesResponse | None:
        answer = await running.client.get_user_features(user.user_id)
        return answer if answer.HasField("profile") and answer.profile == user else None

    return await eventually(there)


async def test_the_newest_profile_comes_with_the_features(features):
    token = (await features.client.write_user_event(message(user_id="told"))).consistency_token
    await features.client.get_user_features("told", token)
    await described(features, User(user_id="told", country="BR"))
    answer = await described(features, User(user_id="told", country="PT"))
    assert (dict(answer.event_counts), answer.degraded) == ({"click": 1}, False)


async def test_a_user_without_behaviour_has_a_profile_all_the_same(features):
    answer = await described(features, User(user_id="quiet", language="fi"))
    assert not answer.history


async def test_a_user_who_was_never_written_has_no_profile(features):
    token = (await features.client.write_user_event(message(user_id="untold"))).consistency_token
    answer = await features.client.get_user_features("untold", token)
    assert (answer.HasField("profile"), answer.degraded) == (False, False)


async def test_an_erased_user_has_no_profile_until_a_new_one_is_written(features):
    first, second = User(user_id="gone", country="BR"), User(user_id="gone", country="FI")
    await described(features, first)
    await features.client.erase_user("gone")
    assert not (await features.client.get_user_features("gone")).HasField("profile")
    await described(features, second)


@pytest.mark.parametrize("away", ["frozen", "dead"])
async def test_while_postgres_is_away_features_come_without_a_profile_and_say_so(features, brokers, away):
    await described(features, User(user_id=away, country="BR"))
    token = (await features.client.write_user_event(message(user_id=away))).consistency_token
    async with without_postgres(brokers, away):
        answer = await features.client.get_user_features(away, token)
    assert (dict(answer.event_counts), answer.HasField("profile"), answer.degraded) == (
        {"click": 1}, False, True,
    )  # fmt: skip
