"""One suite for all tests of the module; each stage of its life is a fixture."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest_asyncio

from deploy.local.suite import SuiteSettings, local_suite
from freshet.trainer.v1.trainer_pb2 import TrainingRun
from shared.client import Addresses, FreshetClient, FreshetError
from tests.conditions import eventually
from tests.e2e.facts import facts
from tests.e2e.loop import Loop

HISTORY_EVENTS = 8_000
TRAINING_MINUTES = 0.2
ONLY_WHEN_TOLD = {
    "FRESHET_TRAIN_INTERVAL_SECONDS": "0",
    "FRESHET_TRAIN_EVERY_EVENTS": "0",
    "FRESHET_TRAIN_DRIFT_PSI": "0",
    "FRESHET_TRAIN_NICENESS": "0",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty_loop(tmp_path_factory) -> AsyncIterator[Loop]:
    """All services up, nothing in them."""
    settings = SuiteSettings.on_free_ports(
        directory=tmp_path_factory.mktemp("e2e"),
        namespace="e2e",
        domain="video",
        environment={"trainer": ONLY_WHEN_TOLD},
    )
    async with local_suite(settings) as suite:
        addresses = Addresses(**{name: suite.address(name) for name in settings.services})
        async with FreshetClient(addresses) as client:
            yield Loop(suite, client, facts())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop(empty_loop) -> Loop:
    """The suite after the first 8,000 events."""
    await empty_loop.stock()
    await empty_loop.replay(empty_loop.facts.events[:HISTORY_EVENTS])
    return empty_loop


@dataclass
class Trained:
    """A finished run, the version that came into service, and what callers saw meanwhile."""

    run: TrainingRun
    version: str = ""
    answered: int = 0
    failures: list[FreshetError] = field(default_factory=list)
    seen_versions: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trained(loop) -> Trained:
    """The suite with a model in service; recommendations were asked for all the while."""
    result = Trained(TrainingRun())
    callers = asyncio.create_task(_keep_asking(loop, result))
    try:
        result.run = await loop.train(TRAINING_MINUTES)
        result.version = await eventually(loop.serving_version, timeout=30)
        await eventually(lambda: result.version in result.seen_versions)
    finally:
        callers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await callers
    return result


async def _keep_asking(loop: Loop, result: Trained) -> None:
    users = list(loop.acknowledged_user_counts())
    while True:
        for user in users:
            await _ask(loop, user, result)


async def _ask(loop: Loop, user: str, result: Trained) -> None:
    try:
        answer = await loop.client.recommend(user)
    except FreshetError as error:
        result.failures.append(error)
        return
    result.answered += 1
    if answer.model_version not in result.seen_versions[-1:]:
        result.seen_versions.append(answer.model_version)
    await asyncio.sleep(0.01)
