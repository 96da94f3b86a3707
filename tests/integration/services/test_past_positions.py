"""`GetUserFeatures` as of a past position: what it said when that position was the newest."""

from __future__ import annotations

import pytest

from freshet.catalog.v1.user_pb2 import User
from freshet.feature.v1.feature_pb2 import GetUserFeaturesResponse
from shared.client import FailedPrecondition, InvalidArgument
from tests.builders import catalogue_item, message
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import (
    archived,
    put_in_log,
    token_of,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")
TOO_FAR = 2**64 - 1


async def moments(running: Running, user_id: str) -> list[GetUserFeaturesResponse]:
    """What was said of a user after each of several facts, when that was the newest."""
    said = []
    for number, event_type in enumerate(("click", "rate", "purchase", "refund", "media-play", "unlike")):
        event = message(event_type, user_id, [f"film-{number % 3}"], session_id=f"visit-{number // 4}")
        token = await written(running, [event])
        said.append(await running.client.get_user_features(user_id, token))
    return said


async def test_features_as_of_each_past_position_are_what_they_were_when_it_was_the_newest(features):
    films = [catalogue_item(f"film-{each}", categories=["Drama"], price=9.0) for each in range(3)]
    outcomes = (await features.client.upsert_items(films)).outcomes
    await archived(features, outcomes[-1].position)
    said = await moments(features, "past")
    assert len({each.SerializeToString(deterministic=True) for each in said}) == len(said)
    for then in said:
        assert await features.client.get_user_features("past", as_of_position=then.position) == then


async def test_the_profile_as_of_a_past_position_is_the_version_of_that_time(features):
    versions = [User(user_id="moved", country=country) for country in ("BR", "PT")]
    outcomes = [(await features.client.upsert_users([each])).outcomes[0] for each in versions]
    past = [
        (await features.client.get_user_features("moved", as_of_position=position)).profile.country
        for position in (outcomes[0].position - 1, outcomes[0].position, outcomes[1].position)
    ]
    assert past == ["", "BR", "PT"]


async def test_another_users_events_in_between_change_nothing(features):
    token = await written(features, [message(user_id="still")])
    then = await features.client.get_user_features("still", token)
    token = await written(features, [message(user_id=f"other-{each}") for each in range(20)])
    now = await features.client.get_user_features("still", token)
    past = await features.client.get_user_features("still", as_of_position=now.position)
    assert (past.features, past.history) == (then.features, then.history)


@pytest.mark.parametrize("position", [1, TOO_FAR], ids=["before the log's start", "in the future"])
async def test_a_position_that_the_log_does_not_hold_is_refused_by_field(features, position):
    with pytest.raises(InvalidArgument) as caught:
        await features.client.get_user_features("anybody", as_of_position=position)
    [violation] = caught.value.violations
    assert (violation.field, violation.reason) == ("as_of_position", "OUT_OF_RANGE")


async def test_the_position_behind_the_newest_is_refused(features):
    newest = await features.log_length()
    with pytest.raises(InvalidArgument):
        await features.client.get_user_features("anybody", as_of_position=newest + 1)
    await features.client.get_user_features("anybody", as_of_position=newest)


async def test_a_position_that_the_archive_has_not_come_to_is_refused_at_the_deadline_and_answered_later(
    features,
):
    features.suite.service("ingestion").pause()
    try:
        position = await put_in_log(features, message(user_id="ahead"))
        hasty = features.client.with_options(timeout_seconds=1)
        await hasty.get_user_features("ahead", token_of("ahead", position))
        with pytest.raises(FailedPrecondition) as caught:
            await hasty.get_user_features("ahead", as_of_position=position)
    finally:
        features.suite.service("ingestion").resume()
    assert caught.value.reason == "ARCHIVE_BEHIND"
    past = await features.client.get_user_features("ahead", as_of_position=position)
    assert dict(past.event_counts) == {"click": 1}
