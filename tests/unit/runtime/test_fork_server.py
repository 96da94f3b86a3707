"""Each job has a process of its own, all of them forked from one, which comes back when it was killed."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from shared.runtime.fork_server import ForkServer
from tests.conditions import eventually
from tests.unit.runtime.telling import BUSY, STAY


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with closing(ForkServer("tests.unit.runtime.telling")) as server:
        yield server


async def told(server: ForkServer, *files: int) -> tuple[int, int]:
    """Who did a job, and what forked it."""
    async with server.forked(b"job\n", files) as lines:
        process, parent = map(int, (await lines.readline()).split())
    return process, parent


async def test_each_job_has_a_process_of_its_own_forked_from_the_same_one(server):
    (one, parent), (other, same) = await told(server), await told(server)
    assert (one != other, parent) == (True, same)


async def test_a_job_has_the_descriptors_it_was_given(server):
    with tempfile.TemporaryFile() as file:
        await told(server, file.fileno())
        file.seek(0)
        assert file.read() == b"job\n"


async def test_a_process_ends_when_nobody_wants_its_job_any_more(server):
    async with server.forked(STAY) as lines:
        process = psutil.Process(int((await lines.readline()).split()[0]))
        assert process.is_running()
    await eventually(lambda: not process.is_running())


async def test_what_forks_comes_back_when_it_was_killed(server):
    _, parent = await told(server)
    os.kill(parent, signal.SIGKILL)
    await eventually(lambda: ended(parent))
    assert (await told(server))[1] != parent


async def test_a_closed_server_leaves_no_process(server):
    _, parent = await told(server)
    server.close()
    assert not psutil.pid_exists(parent)


def ended(process: int) -> bool:
    """Whether it runs no more, also when nobody has asked yet how it ended."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="held on Linux alone")


@on_linux
async def test_a_process_runs_for_no_more_than_its_share_of_the_time(server):
    async with server.forked(BUSY, share=0.2) as lines:
        process = psutil.Process(int((await lines.readline()).split()[0]))
        start, before = time.monotonic(), sum(process.cpu_times()[:2])
        await eventually(lambda: sum(process.cpu_times()[:2]) - before > 0.2)
        assert time.monotonic() - start > 0.2 / 0.4


@on_linux
async def test_a_process_that_is_held_ends_with_what_holds_it(server):
    async with server.forked(STAY, share=0.2) as lines:
        process, holder = map(int, (await lines.readline()).split())
        os.kill(holder, signal.SIGKILL)
        assert await lines.read() == b""
    await eventually(lambda: ended(process))


@on_linux
async def test_a_process_that_is_held_ends_when_nobody_wants_its_job_any_more(server):
    async with server.forked(STAY, share=0.2) as lines:
        process, holder = map(int, (await lines.readline()).split())
    await eventually(lambda: not psutil.pid_exists(process) and not psutil.pid_exists(holder))
