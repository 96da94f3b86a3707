"""Real brokers for all tests of the trainer; each world is a namespace with log and registry of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.brokers import Brokers, BrokerSettings, local_brokers
from freshet.trainer.v1 import trainer_pb2 as api
from tests.integration.trainer.world import Trainer, World, worlds


@pytest.fixture(scope="session")
def _directory(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("trainer")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def brokers(_directory) -> AsyncIterator[Brokers]:
    async with local_brokers(BrokerSettings(directory=_directory)) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def new_world(brokers, _directory) -> AsyncIterator[object]:
    """Makes worlds, closed at the end: `await new_world()`."""
    async with AsyncExitStack() as stack:
        names = worlds()

        async def make() -> World:
            return await stack.enter_async_context(World.made(brokers, _directory, next(names)))

        yield make


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(new_world) -> AsyncIterator[tuple[World, Trainer]]:
    """A world, and a trainer that never rolls back by itself, for all tests of a module."""
    world = await new_world()
    async with world.trainer(rollback_check_seconds="0") as trainer:
        await trainer.stub.ListModels(api.ListModelsRequest(), wait_for_ready=True)
        yield world, trainer
