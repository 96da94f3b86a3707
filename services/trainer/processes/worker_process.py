"""Runs the processes that learn and that judge, and ends them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.trainer.processes.evaluation_jobs import (
    EvaluationReport,
    Judged,
    ModelJob,
    PairJob,
    decode,
    encode,
)
from services.trainer.processes.evaluation_jobs import Failed as NotJudged
from services.trainer.processes.reports import Died, Failed, Finished, Job, Report, decode_report, encode_job
from shared.runtime.child_process import Child, child_process


@asynccontextmanager
async def working(job: Job) -> AsyncIterator[AsyncIterator[Report | Died]]:
    """The reports of a process that does `job`; leaving the context, for whatever reason, ends the process.

    The last report is Finished or Failed, or Died when the process ended without one.
    """
    async with child_process("services.trainer.learning.worker", encode_job(job), job.threads) as child:
        yield _reports(child)


async def judged(job: ModelJob | PairJob) -> Judged | NotJudged:
    """What a process that does `job` says in the end; cancelling ends the process."""
    async with child_process("services.trainer.judging.evaluator", encode(job), job.threads) as child:
        with contextlib.suppress(ConnectionResetError):  # it died with the job unread
            async for line in child.lines:
                report: EvaluationReport = decode(line)
                if isinstance(report, (Judged, NotJudged)):
                    return report
        code = await child.exit_code()
    return NotJudged(f"the process that judges ended with code {code}")


async def _reports(child: Child) -> AsyncIterator[Report | Died]:
    ended = False
    try:
        async for line in child.lines:
            report = decode_report(line)
            ended = isinstance(report, (Finished, Failed))
            yield report
    except ConnectionResetError:
        ended = False  # it died with the job unread
    if not ended:
        yield Died(f"the process that learns ended with code {await child.exit_code()}")
