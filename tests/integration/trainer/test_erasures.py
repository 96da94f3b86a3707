"""Models that may have learned from a user who was erased are marked; those that cannot have are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from freshet.trainer.v1 import trainer_pb2 as api
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.registry import RegisteredModel
from shared.adapters.postgres.tables import erasures
from tests.conditions import eventually
from tests.integration.trainer.world import Trainer, walks

pytestmark = pytest.mark.asyncio(loop_scope="session")
BRIEF = {"train_encoder": "cnn"}
DAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def world(new_world):
    """A log of ten events."""
    made = await new_world()
    await made.happen(walks(range(2), length=5))
    return made


async def register(world, version: str, trained_to: int, continued_from: str = "") -> None:
    model = RegisteredModel(version, f"digest {version}", "run", DAY, False, False, "", trained_to, 1, {})
    await world.registry.register(replace(model, continued_from=continued_from))


async def erased(world, receipt_id: str, first_position: int, complete: bool = True) -> int:
    """A step of an erasure in the log; its position."""
    receipt = ErasureReceipt(receipt_id=receipt_id, user_key=7, first_position=first_position)
    if complete:
        receipt.complete_time.GetCurrentTime()
    subject, payload = world.names.erasure_subject(0), Erasure(receipt=receipt).SerializeToString()
    return (await world.nats.jetstream().publish(subject, payload)).seq


async def test_an_erasure_that_cannot_be_read_holds_up_none_behind_it(world):
    await register(world, "aware", trained_to=5)
    await world.nats.jetstream().publish(world.names.erasure_subject(0), b"\xff")
    async with world.trainer(**BRIEF) as trainer:
        await become(trainer, {})
        await erased(world, "readable", first_position=1)
        await become(trainer, {"aware": ["readable"]})


async def marks(trainer: Trainer) -> dict[str, list[str]]:
    """Receipt ids by model version, of the models that have any."""
    models = (await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)).models
    return {
        model.model_version: list(model.erasure_receipt_ids) for model in models if model.erasure_receipt_ids
    }


async def become(trainer: Trainer, expected: dict[str, list[str]]) -> None:
    async def as_expected() -> bool:
        return await marks(trainer) == expected

    await eventually(as_expected)


async def test_models_trained_to_the_users_first_event_or_further_are_marked(world):
    for version, trained_to in (("earlier", 3), ("there", 4), ("later", 9)):
        await register(world, version, trained_to)
    await erased(world, "r1", first_position=4)
    async with world.trainer() as trainer:
        await become(trainer, {"there": ["r1"], "later": ["r1"]})


async def test_a_list_of_models_with_very_many_marks_is_cut_to_what_clients_take(world):
    models, receipts = 30, 10_000
    for number in range(models):
        await register(world, f"model {number}", trained_to=5 + number)
    rows = [
        {"receipt_id": f"{each:032x}", "user_key": each, "first_position": 1, "complete_position": 100}
        for each in range(receipts)
    ]
    async with world.engine.begin() as connection:
        await connection.execute(erasures.insert(), rows)
    async with world.trainer() as trainer:
        request = api.ListModelsRequest(page_size=models)
        answer = await trainer.stub.ListModels(request, wait_for_ready=True)
    assert answer.ByteSize() < 4 << 20
    assert [model.model_version for model in answer.models] == [f"model {29 - each}" for each in range(9)]
    assert {len(model.erasure_receipt_ids) for model in answer.models} == {receipts}


async def test_a_model_that_was_in_training_during_the_erasure_is_marked_when_it_is_registered(world):
    complete = await erased(world, "r1", first_position=4)
    async with world.trainer() as trainer:
        await register(world, "during", complete - 1)
        await become(trainer, {"during": ["r1"]})


async def test_a_model_trained_after_the_erasure_is_not_marked(world):
    complete = await erased(world, "r1", first_position=4)
    await register(world, "before", complete - 1)
    await register(world, "after", complete)
    async with world.trainer() as trainer:
        await become(trainer, {"before": ["r1"]})


async def test_what_was_continued_from_a_marked_model_is_marked_too_until_one_begins_anew(world):
    complete = await erased(world, "r1", first_position=4)
    await register(world, "marked", complete - 1)
    await register(world, "son", complete, continued_from="marked")
    await register(world, "grandson", complete + 1, continued_from="son")
    await register(world, "anew", complete + 2)
    await register(world, "son of anew", complete + 3, continued_from="anew")
    async with world.trainer() as trainer:
        await become(trainer, {"marked": ["r1"], "son": ["r1"], "grandson": ["r1"]})
    assert await ModelErasures(world.engine).marked_by("r1") == ["marked", "son", "grandson"]


async def test_a_run_begins_anew_when_the_champion_is_marked_and_its_model_is_not(new_world):
    world = await new_world()
    await world.happen(walks(range(60)))
    async with world.trainer(**BRIEF) as trainer:
        champion = (await trainer.trained()).model_version
        await erased(world, "r1", first_position=4)
        await become(trainer, {champion: ["r1"]})
        await world.happen(walks(range(60), stride=2))
        anew = await trainer.trained()
        assert anew.state == api.TRAINING_STATE_SUCCEEDED, anew.error
        assert (await world.registry.model(anew.model_version)).continued_from == ""
        await become(trainer, {champion: ["r1"]})


async def test_a_run_goes_on_from_a_champion_that_is_not_marked(new_world):
    world = await new_world()
    await world.happen(walks(range(60)))
    async with world.trainer(**BRIEF) as trainer:
        champion = (await trainer.trained()).model_version
        await world.happen(walks(range(60), stride=2))
        gone_on = (await trainer.trained()).model_version
    assert (await world.registry.model(gone_on)).continued_from == champion


async def test_an_erasure_that_is_only_asked_for_marks_nothing_yet(world):
    await register(world, "model", 9)
    await erased(world, "r1", first_position=4, complete=False)
    await erased(world, "r2", first_position=5)
    async with world.trainer() as trainer:
        await become(trainer, {"model": ["r2"]})


async def test_erasures_while_the_trainer_is_away_are_taken_in_later(world):
    await register(world, "model", 9)
    async with world.trainer() as trainer:
        await erased(world, "r1", first_position=4)
        await become(trainer, {"model": ["r1"]})
    await erased(world, "r2", first_position=5)
    async with world.trainer() as trainer:
        await become(trainer, {"model": ["r1", "r2"]})
