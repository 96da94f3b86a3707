"""Runs the process that learns, and ends it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.trainer.reports import Failed, Finished, Job, Report, decode_report, encode_job

_ENV_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LONGEST_LINE = 1 << 20


@asynccontextmanager
async def working(job: Job) -> AsyncIterator[AsyncIterator[Report]]:
    """The reports of a process that does `job`; leaving the context, for whatever reason, ends the process.

    The last report is Finished or Failed, also when the process died.
    """
    reader, writer = os.pipe()
    try:
        process = await _start(job, writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    transport = None
    try:
        lines = asyncio.StreamReader(limit=_LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reader, "rb", buffering=0)
        )
        yield _reports(process, lines)
    finally:
        await _end(process)
        if transport is not None:
            transport.close()


async def _start(job: Job, reports: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.trainer.worker", str(reports),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=(reports,),
        env={**os.environ, **dict.fromkeys(_ENV_THREADS, str(job.threads))},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(encode_job(job))
    return process


async def _reports(process: asyncio.subprocess.Process, lines: asyncio.StreamReader) -> AsyncIterator[Report]:
    ended = False
    async for line in lines:
        report = decode_report(line)
        ended = isinstance(report, (Finished, Failed))
        yield report
    if not ended:
        yield Failed(f"the process that learns ended with code {await process.wait()}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
