"""The whole loop: events in, features, a model, recommendations that change with the next event, and faults."""

from __future__ import annotations

import pytest

from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_SUCCEEDED
from shared.client import user_event
from tests.conditions import eventually
from tests.e2e.loop import degraded, item_ids, statuses

pytestmark = pytest.mark.asyncio(loop_scope="module")
KILL_EVENTS = 240


@pytest.fixture(scope="module")
def user(loop) -> str:
    """Somebody with a history."""
    return loop.facts.events[0].user_id


async def test_with_nothing_known_there_is_an_empty_answer_that_says_so(empty_loop):
    answer = await empty_loop.client.recommend("stranger")
    assert (item_ids(answer), degraded(answer)) == ([], ["NO_MODEL"])


async def test_every_event_of_the_history_is_acknowledged_and_counted_once(loop):
    assert len(loop.acknowledged) == len({event.event_id for event in loop.facts.events[:8000]})
    assert await loop.user_counts() == loop.acknowledged_user_counts()
    assert await loop.item_counts() == loop.acknowledged_item_counts()


async def test_before_there_is_a_model_recommendations_are_trending_items_and_say_no_model(loop, user):
    answer = await loop.client.recommend(user, min_consistency_token=loop.token)
    assert degraded(answer) == ["NO_MODEL"]
    assert len(answer.results) == 20
    assert {result.source for result in answer.results} == {"trending"}


async def test_training_on_the_log_brings_a_model_into_service(trained):
    assert trained.run.state == TRAINING_STATE_SUCCEEDED, trained.run.error
    assert trained.run.decision.promoted, trained.run.decision.reason
    assert trained.version == trained.run.model_version


async def test_no_recommendation_fails_while_the_model_comes_into_service(trained):
    assert trained.failures == []
    assert trained.answered > 100
    assert trained.seen_versions == ["", trained.version]


async def test_with_a_model_a_known_user_is_answered_by_it_in_full(loop, trained, user):
    answer = await loop.client.recommend(user)
    assert degraded(answer) == []
    assert answer.model_version == trained.version
    assert {result.source for result in answer.results} == {"model"}


async def test_an_event_changes_the_very_next_answer(loop, trained, user):
    before = await loop.client.recommend(user)
    consumed = before.results[0].item_id
    token = await loop.write(user_event("media-complete", user, [consumed]))
    after = await loop.client.recommend(user, min_consistency_token=token)
    assert consumed not in item_ids(after)
    scores = {result.item_id: result.score for result in before.results}
    assert any(result.score != scores.get(result.item_id, result.score) for result in after.results)


async def test_the_first_event_of_a_stranger_is_enough_for_the_model(loop, trained):
    item = loop.facts.events[0].items[0].item_id
    assert degraded(await loop.client.recommend("newcomer")) == ["NO_HISTORY"]
    token = await loop.write(user_event("click", "newcomer", [item]))
    answer = await loop.client.recommend("newcomer", min_consistency_token=token)
    assert (degraded(answer), answer.model_version) == ([], trained.version)


async def test_a_replay_of_the_same_events_is_all_duplicates_and_changes_nothing(loop, user):
    again = loop.facts.events[:2000]
    before = await loop.features(user)
    assert statuses(await loop.replay(again)) == {"DUPLICATE"}
    assert await loop.features(user) == before


@pytest.mark.parametrize("number, service", list(enumerate(["ingestion", "feature", "ranking", "trainer"])))
async def test_a_service_killed_during_a_replay_loses_and_doubles_nothing(loop, number, service):
    start = 8000 + number * KILL_EVENTS
    await loop.replay_with_a_kill(service, loop.facts.events[start : start + KILL_EVENTS])
    assert await loop.user_counts() == loop.acknowledged_user_counts()


async def test_after_all_the_kills_items_are_counted_once_and_the_model_is_back(loop, trained, user):
    assert await loop.item_counts() == loop.acknowledged_item_counts()

    async def model_is_back() -> bool:
        answer = await loop.client.recommend(user, min_consistency_token=loop.token)
        return answer.model_version == trained.version

    await eventually(model_is_back)
