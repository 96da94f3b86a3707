"""Promoting and rolling back by calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.domain.models.promotions import Cause, Promotion
from tests.conditions import eventually
from tests.integration.trainer.favourites import (
    DOCUMENTS,
    champion_of,
    favouring,
    newest_announcement,
    registered,
)
from tests.integration.trainer.test_calls import refusal
from tests.integration.trainer.world import Trainer, World, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
FAILED = grpc.StatusCode.FAILED_PRECONDITION


@pytest_asyncio.fixture(loop_scope="session")
async def world(stage) -> World:
    """Without models."""
    made, _ = stage
    async with made.engine.begin() as connection:
        for table in ("model", "promotion", "erasure"):
            await connection.exec_driver_sql(f'DELETE FROM "freshet_{made.namespace}".{table}')
    return made


@pytest.fixture
def trainer(stage) -> Trainer:
    return stage[1]


def promote(trainer: Trainer, version: str, reason: str = "I say so"):
    return trainer.stub.PromoteModel(api.PromoteModelRequest(model_version=version, reason=reason))


def roll_back(trainer: Trainer, reason: str = "fewer clicks", **fields):
    return trainer.stub.RollbackModel(api.RollbackModelRequest(reason=reason, **fields))


async def three(world: World) -> list[str]:
    """Versions of three models, each of which was champion, the last one being it."""
    return [await registered(world, favouring([number])) for number in range(3)]


async def test_a_model_that_the_gate_kept_out_is_promoted_and_announced_with_the_reason(world, trainer):
    first = await registered(world, favouring([1]))
    second = await registered(world, favouring([2]), champion=False)
    answer = await promote(trainer, second)
    assert (answer.model.champion, answer.already_champion) == (True, False)
    assert await champion_of(world) == second
    told = await newest_announcement(world)
    assert (told.model_version, told.promoted, told.reason) == (second, True, "I say so")
    (promotion,) = answer.model.promotions
    assert (promotion.cause, promotion.displaced_model_version) == (api.PROMOTION_CAUSE_REQUEST, first)


async def test_what_the_gate_decided_stays_on_record(world, trainer):
    await registered(world, favouring([1]))
    version = await registered(world, favouring([2]), champion=False)
    assert not (await promote(trainer, version)).model.decision.promoted


async def test_a_champion_that_is_promoted_is_answered_as_such_and_noted_once(world, trainer):
    version = await registered(world, favouring([1]))
    answer = await promote(trainer, version)
    assert answer.already_champion
    assert len(answer.model.promotions) == 1


async def test_an_unknown_model_is_not_found(world, trainer):
    code, details = await refusal(promote(trainer, "nobody"))
    assert (code, details[1].resource_type) == (grpc.StatusCode.NOT_FOUND, "model_version")


async def test_a_model_whose_bundle_is_gone_is_not_promoted(world, trainer):
    champion = await registered(world, favouring([1]))
    gone = await registered(world, favouring([20]), champion=False, stored=False)
    code, details = await refusal(promote(trainer, gone))
    assert (code, details[0].reason) == (FAILED, "BUNDLE_NOT_STORED")
    assert [each.subject for each in details[1].violations] == ["model_version"]
    assert await champion_of(world) == champion


async def test_a_model_whose_bundle_is_damaged_is_not_promoted(world, trainer):
    version = await registered(world, favouring([21]), champion=False, stored=False)
    digest = (await world.registry.model(version)).bundle_digest
    await NatsBundleStore(world.nats, world.names).put(digest, b"no bundle")
    code, details = await refusal(promote(trainer, version))
    assert code == FAILED
    assert "is damaged" in details[1].violations[0].description


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [
        ("PromoteModel", api.PromoteModelRequest(), ["model_version", "reason"]),
        ("PromoteModel", api.PromoteModelRequest(model_version="v", reason="x" * 1001), ["reason"]),
        (
            "PromoteModel",
            api.PromoteModelRequest(model_version="v\0", reason="\0"),
            ["model_version", "reason"],
        ),
        ("RollbackModel", api.RollbackModelRequest(), ["reason"]),
        (
            "RollbackModel",
            api.RollbackModelRequest(reason=" ", request_id="x" * 129),
            ["reason", "request_id"],
        ),
    ],
)
async def test_a_field_without_meaning_is_named(trainer, method, request_, fields):
    code, details = await refusal(getattr(trainer.stub, method)(request_))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in details[1].field_violations] == fields


async def test_a_rollback_returns_to_the_champion_before_and_the_next_goes_further_back(world, trainer):
    first, second, third = await three(world)
    answers = [await roll_back(trainer) for _ in range(2)]
    assert [each.model.model_version for each in answers] == [second, first]
    assert [each.rolled_back_model_version for each in answers] == [third, second]
    told = await newest_announcement(world)
    assert (told.model_version, told.promoted, told.reason) == (first, True, "fewer clicks")


async def test_a_model_that_was_rolled_back_is_listed_as_such_until_it_is_promoted_anew(world, trainer):
    versions = await three(world)
    await roll_back(trainer)

    async def rolled_back() -> list[str]:
        listed = await trainer.stub.ListModels(api.ListModelsRequest())
        return [each.model_version for each in listed.models if each.rolled_back]

    assert await rolled_back() == [versions[2]]
    await promote(trainer, versions[2])
    assert await rolled_back() == []


async def test_without_a_champion_before_nothing_is_rolled_back(world, trainer):
    version = await registered(world, favouring([1]))
    code, details = await refusal(roll_back(trainer))
    assert (code, details[0].reason) == (FAILED, "NO_PREDECESSOR")
    assert await champion_of(world) == version


async def test_without_a_champion_nothing_is_rolled_back(world, trainer):
    code, details = await refusal(roll_back(trainer))
    assert (code, details[0].reason) == (FAILED, "NO_CHAMPION")


async def test_the_same_request_rolls_back_once(world, trainer):
    _, second, _ = await three(world)
    answers = [await roll_back(trainer, request_id="once") for _ in range(2)]
    assert answers[0].model.model_version == answers[1].model.model_version == second
    assert await champion_of(world) == second


async def test_a_rollback_of_a_named_champion_may_be_repeated(world, trainer):
    _, second, third = await three(world)
    answers = [await roll_back(trainer, model_version=third) for _ in range(2)]
    assert [each.rolled_back_model_version for each in answers] == [third, third]
    assert await champion_of(world) == second


async def test_another_model_than_the_champion_is_not_rolled_back(world, trainer):
    first, _, third = await three(world)
    code, details = await refusal(roll_back(trainer, model_version=first))
    assert (code, details[0].reason) == (FAILED, "NOT_THE_CHAMPION")
    assert await champion_of(world) == third


async def test_of_rollbacks_of_one_champion_at_once_one_takes_effect(world, trainer):
    _, second, third = await three(world)
    codes = await asyncio.gather(*(roll_back(trainer, model_version=third).code() for _ in range(4)))
    assert set(codes) <= {grpc.StatusCode.OK, FAILED} and grpc.StatusCode.OK in codes
    assert await champion_of(world) == second


async def test_however_many_are_passed_over_the_refusal_says_why(world, trainer):
    await registered(world, favouring([25]), stored=False)
    first = await world.registry.champion()
    for number in range(300):
        version = f"{number:016x}"
        await world.registry.register(replace(first, model_version=version, bundle_digest=4 * version))
    code, details = await refusal(roll_back(trainer))
    assert (code, details[0].reason) == (FAILED, "NO_PREDECESSOR")
    told = details[1].violations[0].description
    assert f"the bundle of {298:016x} is no longer stored" in told
    assert told.endswith("; and 295 more")


async def test_a_model_whose_bundle_is_gone_is_passed_over(world, trainer):
    first = await registered(world, favouring([1]))
    await registered(world, favouring([22]), stored=False)
    await registered(world, favouring([3]))
    assert (await roll_back(trainer)).model.model_version == first


async def test_a_model_that_learned_of_an_erased_user_does_not_displace_one_that_did_not(world, trainer):
    await world.happen(walks(range(2), length=5))
    marked = await registered(world, favouring([1], log_to=5))
    await registered(world, favouring([2], log_to=500))
    await erased(world, trainer, marked)
    code, details = await refusal(roll_back(trainer))
    assert (code, details[0].reason) == (FAILED, "NO_PREDECESSOR")
    assert f"{marked} may have learned from an erased user" in details[1].violations[0].description
    assert (await promote(trainer, marked)).model.erasure_receipt_ids == ["r1"]


async def erased(world: World, trainer: Trainer, version: str) -> None:
    """Returns once an erasure marks the model."""
    receipt = ErasureReceipt(receipt_id="r1", user_key=7, first_position=1)
    receipt.complete_time.GetCurrentTime()
    payload = Erasure(receipt=receipt).SerializeToString()
    await world.nats.jetstream().publish(world.names.erasure_subject(0), payload)

    async def marked() -> bool:
        answer = await trainer.stub.GetModel(api.GetModelRequest(model_version=version))
        return list(answer.model.erasure_receipt_ids) == ["r1"]

    await eventually(marked)


async def test_a_model_is_given_with_its_card_on_demand(world, trainer):
    version = await registered(world, favouring([1]))
    bare = await trainer.stub.GetModel(api.GetModelRequest(model_version=version))
    assert (bare.model.model_version, bare.model_card, bare.curves_png) == (version, "", b"")
    full = await trainer.stub.GetModel(api.GetModelRequest(include_card=True))
    assert (full.model, full.model_card.encode(), full.curves_png) == (bare.model, *DOCUMENTS.values())


@pytest.mark.parametrize("documents, stored", [(False, True), (True, False)])
async def test_a_model_without_a_card_is_given_without_one(world, trainer, documents, stored):
    made = favouring([23, 24 + documents], documents=documents)
    version = await registered(world, made, stored=stored)
    answer = await trainer.stub.GetModel(api.GetModelRequest(model_version=version, include_card=True))
    assert (answer.model.model_version, answer.model_card, answer.curves_png) == (version, "", b"")


@pytest.mark.parametrize("version", ["", "nobody"])
async def test_a_model_that_is_not_there_is_not_found(world, trainer, version):
    code, details = await refusal(trainer.stub.GetModel(api.GetModelRequest(model_version=version)))
    assert (code, details[1].resource_type) == (grpc.StatusCode.NOT_FOUND, "model_version")


async def test_a_decision_that_nobody_was_told_of_is_told_at_the_next_start(new_world):
    world = await new_world()
    first, second = [await registered(world, favouring([number])) for number in (1, 2)]
    cut_off = Promotion(first, Cause.ROLLBACK, "cut off", second, datetime.now(UTC))
    await world.registry.promotions.promote(cut_off)
    async with world.trainer():
        told = await newest_announcement(world)
    assert (told.model_version, told.promoted, told.reason) == (first, True, "cut off")


async def test_a_killed_trainer_keeps_what_it_had_answered(new_world):
    world = await new_world()
    first, second = [await registered(world, favouring([number])) for number in (1, 2)]
    async with world.trainer() as trainer:
        await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)
        calls = [roll_back(trainer, request_id="once")]
        await trainer.suite.kill("trainer")
        code = await calls[0].code()
        await trainer.suite.start("trainer")
        await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)
        again = await roll_back(trainer, request_id="once")
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
    assert (again.model.model_version, again.rolled_back_model_version) == (first, second)
    assert [each.cause for each in await world.registry.promotions.history()][2:] == [Cause.ROLLBACK]
    assert (await newest_announcement(world)).model_version == first
