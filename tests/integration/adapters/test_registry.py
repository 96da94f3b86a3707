"""The model registry: one champion, runs by request, and announcements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_FAILED,
    TRAINING_STATE_SUCCEEDED,
    TRAINING_STATE_TRAINING,
    TrainingRun,
)
from shared.adapters.postgres.promotions import ChampionChangedError
from shared.adapters.postgres.registry import RegisteredModel, Registry, announce
from shared.adapters.postgres.tables import promotions
from shared.domain.models.promotions import Cause, Promotion

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIRST = RegisteredModel(
    model_version="v1",
    bundle_digest="ab" * 32,
    run_id="r1",
    create_time=datetime(2025, 1, 1, tzinfo=UTC),
    champion=True,
    promoted=True,
    reason="first",
    trained_to_position=100,
    item_count=3,
    metrics={"ndcg@10": 0.5},
)
BACK = Promotion("v1", Cause.ROLLBACK, "worse", "v2", FIRST.create_time + timedelta(days=2), "q1")
SECOND = replace(FIRST, model_version="v2", create_time=FIRST.create_time + timedelta(days=1))


@pytest.fixture
def registry(space) -> Registry:
    return Registry(space.engine)


async def test_before_there_is_a_model_there_is_no_champion(registry):
    assert await registry.champion() is None
    assert await registry.list_models(10) == []


async def test_a_model_comes_back_as_it_was(registry):
    await registry.register(FIRST)
    assert await registry.champion() == FIRST


async def test_a_new_champion_ends_the_reign_of_the_one_before(registry):
    await registry.register(FIRST)
    await registry.register(SECOND)
    assert [(each.model_version, each.champion) for each in await registry.list_models(10)] == [
        ("v2", True),
        ("v1", False),
    ]


async def test_a_clock_that_was_ahead_once_makes_no_model_the_newest_for_long(registry):
    ahead = replace(FIRST, create_time=FIRST.create_time + timedelta(days=365))
    for each in (ahead, SECOND, replace(SECOND, model_version="v3", trained_to_position=200)):
        await registry.register(each)
    assert [each.model_version for each in await registry.list_models(1)] == ["v3"]


async def test_a_model_that_was_not_promoted_leaves_the_champion(registry):
    await registry.register(FIRST)
    await registry.register(replace(SECOND, champion=False))
    assert (await registry.champion()).model_version == "v1"


async def test_registering_a_champion_again_keeps_it(registry):
    await registry.register(FIRST)
    await registry.register(replace(FIRST, reason="again"))
    assert (await registry.champion()).reason == "again"


async def test_of_many_champions_at_once_one_remains(registry):
    many = [replace(FIRST, model_version=f"v{number}") for number in range(6)]
    await asyncio.gather(*[registry.register(each) for each in many], return_exceptions=True)
    assert sum(each.champion for each in await registry.list_models(10)) == 1


async def test_a_champion_out_of_training_is_noted_with_what_it_displaced(registry):
    await registry.register(FIRST)
    await registry.register(SECOND)
    assert await registry.promotions.history() == [
        Promotion("v1", Cause.TRAINING, "first", "", FIRST.create_time),
        Promotion("v2", Cause.TRAINING, "first", "v1", SECOND.create_time),
    ]


async def test_a_model_that_was_not_promoted_is_no_decision_about_the_champion(registry):
    await registry.register(replace(FIRST, champion=False))
    assert await registry.promotions.history() == []


async def test_registering_a_champion_again_is_no_second_promotion(registry):
    await registry.register(FIRST)
    await registry.register(FIRST, instead_of="")
    assert len(await registry.promotions.history()) == 1


async def test_a_model_judged_against_another_champion_is_not_registered(registry):
    await registry.register(FIRST)
    with pytest.raises(ChampionChangedError, match="the champion is v1 by now"):
        await registry.register(SECOND, instead_of="v0")
    assert await registry.model("v2") is None
    assert (await registry.champion()).model_version == "v1"


async def test_a_promotion_makes_a_registered_model_the_one_champion_and_comes_back_as_it_was(registry):
    await registry.register(FIRST)
    await registry.register(SECOND)
    assert await registry.promotions.promote(BACK)
    assert (await registry.champion()).model_version == "v1"
    assert (await registry.promotions.history())[-1] == BACK


async def test_what_is_champion_already_is_not_promoted_again(registry):
    await registry.register(FIRST)
    assert not await registry.promotions.promote(BACK)
    assert len(await registry.promotions.history()) == 1


async def test_a_promotion_in_place_of_another_champion_changes_nothing(registry):
    await registry.register(FIRST)
    await registry.register(SECOND)
    await registry.register(replace(SECOND, model_version="v3"))
    with pytest.raises(ChampionChangedError, match="the champion is v3 by now"):
        await registry.promotions.promote(BACK)
    assert ((await registry.champion()).model_version, len(await registry.promotions.history())) == ("v3", 3)


async def test_of_many_decisions_at_once_each_displaces_the_one_before(registry):
    many = [replace(FIRST, model_version=f"v{number}") for number in range(6)]
    await asyncio.gather(*[registry.register(each) for each in many])
    history = await registry.promotions.history()
    assert [each.displaced for each in history] == ["", *(each.model_version for each in history[:-1])]
    assert (await registry.champion()).model_version == history[-1].model_version


async def test_champions_from_before_there_was_a_history_are_taken_over_once(space, registry):
    await registry.register(FIRST)
    await registry.register(replace(SECOND, champion=False, promoted=False))
    await registry.register(replace(SECOND, model_version="v3"))
    history = await registry.promotions.history()
    async with space.engine.begin() as connection:
        await connection.execute(promotions.delete())
    await registry.promotions.adopt()
    await registry.promotions.adopt()
    assert await registry.promotions.history() == history


async def test_what_models_have_learned_to_does_not_depend_on_the_clock(registry):
    assert await registry.learned_to() == 0
    await registry.register(SECOND)
    await registry.register(replace(FIRST, trained_to_position=200))
    assert await registry.learned_to() == 200


async def test_a_run_is_found_by_its_id_and_by_the_request_that_started_it(registry):
    run = TrainingRun(run_id="r1", step=1)
    run.start_time.FromDatetime(datetime(2025, 1, 1))
    await registry.save_run(run, request_id="q1")
    run.step = 2
    await registry.save_run(run)
    assert await registry.run("r1") == await registry.run_of_request("q1") == run
    assert await registry.run("r2") is None
    assert list(await registry.list_runs(10)) == [run]


@pytest.mark.parametrize("late", [TRAINING_STATE_TRAINING, TRAINING_STATE_FAILED])
async def test_a_run_that_has_ended_stays_as_it_ended_whatever_a_trainer_that_leads_no_more_says(
    registry, late
):
    run = TrainingRun(run_id="r1", state=TRAINING_STATE_TRAINING)
    ended = TrainingRun(run_id="r1", state=TRAINING_STATE_SUCCEEDED, model_version="v1")
    for each in (run, ended, TrainingRun(run_id="r1", state=late)):
        await registry.save_run(each)
    assert await registry.run("r1") == ended


@pytest.mark.parametrize("promoted, subject", [(True, "promoted"), (False, "kept")])
async def test_a_decision_is_announced(space, promoted, subject):
    event = ModelEvent(model_version="v1", promoted=promoted)
    await announce(space.nats, space.names, event)
    message = await space.nats.jetstream().get_last_msg(
        space.names.stream("MODELS"), space.names.subject(f"models.v1.{subject}")
    )
    assert ModelEvent.FromString(message.data) == event
