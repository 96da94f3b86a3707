"""What ends by itself is started again: side by side, however long that takes, and not for ever."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.local.brokers import Brokers
from deploy.local.errors import LauncherError, StartFailed
from deploy.local.reviving import Reviver
from deploy.local.suite import Suite
from tests.integration.local.conftest import eventually, without_brokers


@asynccontextmanager
async def started(settings) -> AsyncIterator[Suite]:
    """A suite whose services were all waited for as long as they took."""
    suite = Suite(settings, Brokers(settings.nats_url, settings.database_url))
    try:
        for name in settings.services:
            await suite.service(name).start(patiently=True)
        yield suite
    finally:
        await suite.stop_all()


@asynccontextmanager
async def revived(suite: Suite) -> AsyncIterator[list[str]]:
    """What is told of servers that serve again, while there is somebody who starts them."""
    told: list[str] = []
    task = asyncio.create_task(Reviver(suite, lambda text: None, told.append).run())
    try:
        yield told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_start_that_is_patient_takes_as_long_as_it_takes(tmp_path):
    settings = without_brokers(tmp_path, services=("feature",), ready_seconds=0.0)
    async with started(settings) as suite:
        assert await suite.service("feature").probe()
        await suite.kill("feature")
        with pytest.raises(StartFailed, match="not ready within 0 s"):
            await suite.start("feature")


async def test_one_that_waits_for_another_that_died_after_it_is_no_hindrance(tmp_path):
    """Nothing is ready within no time at all: that a restart is slow ends nothing."""
    settings = without_brokers(
        tmp_path,
        services=("feature", "ranking"),
        environment={"ranking": {"STAND_IN": "dependent"}},
        ready_seconds=0.0,
    )
    async with started(settings) as suite, revived(suite) as told:
        os.kill(suite.service("ranking").pid, signal.SIGKILL)
        os.kill(suite.service("feature").pid, signal.SIGKILL)
        await eventually(lambda: len(told) == 2)
        assert sorted(told) == [f"{name} ended with code -9; started again" for name in settings.services]
        assert [await suite.service(name).probe() for name in settings.services] == [True, True]


async def test_one_that_ends_again_and_again_before_it_serves_is_given_up_with_its_log(tmp_path):
    stone = tmp_path / "stone"
    crashing = {"feature": {"STAND_IN": f"crash-beside {stone}"}}
    async with started(without_brokers(tmp_path, services=("feature",), environment=crashing)) as suite:
        stone.touch()
        os.kill(suite.service("feature").pid, signal.SIGKILL)
        with pytest.raises(ExceptionGroup) as given_up:
            await asyncio.wait_for(Reviver(suite, lambda text: None, lambda text: None).run(), 60)
        (error,) = given_up.value.exceptions
        assert isinstance(error, LauncherError)
        assert str(error).startswith("feature keeps ending\nfeature ended by itself with code 1")
        assert "no such table: users" in str(error)
