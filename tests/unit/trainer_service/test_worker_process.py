"""Whoever asks for learning or for a judgement hears of its end, however the process ends."""

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from services.trainer.processes.evaluation_jobs import Failed, ModelJob
from services.trainer.processes.reports import Died, Report
from services.trainer.processes.worker_process import judged, working
from tests.conditions import eventually
from tests.unit.trainer_service.builders import JOB as LESSON

JOB = ModelJob(
    "postgresql://127.0.0.1:1/none",
    "",
    "video",
    "/none",
    5,
    "temporal",
    "abc",
    "/none",
    3,
    9,
    50,
    0,
    1,
    0,
    "error",
)


def judges() -> list[psutil.Process]:
    """The processes of this one that judge."""
    children = psutil.Process().children()
    return [child for child in children if "services.trainer.judging.evaluator" in child.cmdline()]


async def test_a_process_that_dies_is_told_of_with_its_code():
    judging = asyncio.create_task(judged(JOB))
    (process,) = await eventually(judges)
    process.kill()
    assert await judging == Failed("the process that judges ended with code -9")


async def test_cancelling_ends_the_process():
    judging = asyncio.create_task(judged(JOB))
    (process,) = await eventually(judges)
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert not process.is_running()


async def test_a_learner_that_dies_is_told_of_with_its_code():
    others = psutil.Process().children()
    async with working(LESSON) as reports:
        reading = asyncio.create_task(_last(reports))
        (process,) = await eventually(
            lambda: [each for each in psutil.Process().children() if each not in others]
        )
        process.kill()
        assert await reading == Died("the process that learns ended with code -9")


async def _last(reports: AsyncIterator[Report | Died]) -> Report | Died | None:
    last = None
    async for report in reports:
        last = report
    return last
