"""Runs the processes that learn and that judge, and ends them.

Decision: `subprocess`, not asyncio's own processes. uvloop forks, and gRPC's fork handlers then closed the
pipes of the new process in one of twenty starts under calls; `subprocess` starts by vfork, which runs no
such handlers. One pair of sockets carries the job out and reports back; its end is the leash.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.trainer.evaluation_jobs import EvaluationReport, Judged, ModelJob, PairJob, decode, encode
from services.trainer.evaluation_jobs import Failed as NotJudged
from services.trainer.reports import Died, Failed, Finished, Job, Report, decode_report, encode_job

_ENV_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LONGEST_LINE = 1 << 20


@asynccontextmanager
async def working(job: Job) -> AsyncIterator[AsyncIterator[Report | Died]]:
    """The reports of a process that does `job`; leaving the context, for whatever reason, ends the process.

    The last report is Finished or Failed, or Died when the process ended without one.
    """
    async with _talking("services.trainer.worker", encode_job(job), job.threads) as (process, lines):
        yield _reports(process, lines)


async def judged(job: ModelJob | PairJob) -> Judged | NotJudged:
    """What a process that does `job` says in the end; cancelling ends the process."""
    async with _talking("services.trainer.evaluator", encode(job), job.threads) as (process, lines):
        with contextlib.suppress(ConnectionResetError):  # it died with the job unread
            async for line in lines:
                report: EvaluationReport = decode(line)
                if isinstance(report, (Judged, NotJudged)):
                    return report
        code = await asyncio.to_thread(process.wait)
    return NotJudged(f"the process that judges ended with code {code}")


@asynccontextmanager
async def _talking(
    module: str, job: bytes, threads: int
) -> AsyncIterator[tuple[subprocess.Popen[bytes], asyncio.StreamReader]]:
    """A process that has been told its job, and the lines it says; it ends with the context."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = _start(module, threads, theirs.fileno())
    try:
        lines, writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        try:
            writer.write(job)
            yield process, lines
        finally:
            writer.close()
    finally:
        await _end(process)


def _start(module: str, threads: int, channel: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, str(channel)],
        stdin=subprocess.DEVNULL,
        pass_fds=(channel,),
        env={**os.environ, **dict.fromkeys(_ENV_THREADS, str(threads))},
        start_new_session=True,
    )


async def _reports(
    process: subprocess.Popen[bytes], lines: asyncio.StreamReader
) -> AsyncIterator[Report | Died]:
    ended = False
    try:
        async for line in lines:
            report = decode_report(line)
            ended = isinstance(report, (Finished, Failed))
            yield report
    except ConnectionResetError:
        ended = False  # it died with the job unread
    if not ended:
        code = await asyncio.to_thread(process.wait)
        yield Died(f"the process that learns ended with code {code}")


async def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    await asyncio.to_thread(process.wait)
