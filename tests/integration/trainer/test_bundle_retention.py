"""Which bundles are deleted, and which are not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import NamedTuple

import grpc
import pytest
import pytest_asyncio

from freshet.trainer.v1 import trainer_pb2 as api
from services.trainer.registry.bundle_retention import BundleRetention
from services.trainer.registry.promoting import Promoting
from shared.adapters.jetstream.bundle_store import DirectoryBundleStore, NatsBundleStore
from shared.adapters.jetstream.deltas import delta_stream, delta_subject
from tests.conditions import eventually
from tests.integration.trainer.favourites import champion_of, favouring, registered
from tests.integration.trainer.test_calls import refusal
from tests.integration.trainer.test_rollback_watch import SomeRuns
from tests.integration.trainer.world import Trainer, World

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNREGISTERED = "ab" * 32
KEPT = 2


class History(NamedTuple):
    """Versions of models, the oldest first, and the trainer that has deleted what it does not keep."""

    world: World
    champions: list[str]
    rejected: list[str]
    trainer: Trainer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def history(new_world) -> AsyncIterator[History]:
    """Five champions, after them three models that were not promoted, and a bundle of no model."""
    world = await new_world()
    champions = [await registered(world, favouring([number])) for number in range(5)]
    rejected = [await registered(world, favouring([number]), champion=False) for number in range(5, 8)]
    store = NatsBundleStore(world.nats, world.names)
    await store.put(UNREGISTERED, b"of a run that is about to register it")
    for version in (champions[0], champions[-2]):
        await world.nats.jetstream().publish(delta_subject(world.names, version), b"a delta")
    async with world.trainer(bundles_kept=str(KEPT)) as trainer:

        async def some_are_deleted() -> bool:
            return len(await store.digests()) <= 1 + 1 + 2 * KEPT

        await eventually(some_are_deleted)
        yield History(world, champions, rejected, trainer)


async def versions_stored(world: World) -> set[str]:
    digests = await NatsBundleStore(world.nats, world.names).digests()
    return {model.model_version for model in await world.registry.models_of(digests)}


async def test_the_champion_the_newest_models_and_the_champions_before_keep_their_bundles(history):
    expected = {*history.champions[-1 - KEPT :], *history.rejected[-KEPT:]}
    assert await versions_stored(history.world) == expected


async def test_a_bundle_that_no_model_is_registered_for_stays(history):
    assert UNREGISTERED in await NatsBundleStore(history.world.nats, history.world.names).digests()


async def test_deltas_go_with_the_bundle_of_their_model(history):
    names, deleted, kept = history.world.names, history.champions[0], history.champions[-2]
    info = await history.world.nats.jetstream().stream_info(delta_stream(names), subjects_filter=">")
    told = info.state.subjects
    assert (delta_subject(names, deleted) in told, delta_subject(names, kept) in told) == (False, True)


async def test_models_whose_bundles_are_deleted_stay_registered(history):
    answer = await history.trainer.stub.ListModels(api.ListModelsRequest())
    assert {each.model_version for each in answer.models} == {*history.champions, *history.rejected}


async def test_a_model_whose_bundle_is_deleted_cannot_be_promoted(history):
    request = api.PromoteModelRequest(model_version=history.champions[0], reason="I say so")
    code, details = await refusal(history.trainer.stub.PromoteModel(request))
    assert (code, details[0].reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_NOT_STORED")


async def test_a_rollback_returns_to_a_champion_that_was_kept(history):
    await history.trainer.stub.RollbackModel(api.RollbackModelRequest(reason="worse"))
    assert await champion_of(history.world) == history.champions[-2]


async def test_what_a_run_that_was_killed_has_left_unfinished_goes_too(new_world, tmp_path):
    world = await new_world()
    part = tmp_path / f".{UNREGISTERED}.0123.unfinished"
    part.write_bytes(b"a part")
    os.utime(part, (0, 0))
    tools = world.tools(DirectoryBundleStore(tmp_path))
    await BundleRetention(tools, SomeRuns(), Promoting(tools), KEPT).delete_old()
    assert not part.exists()
