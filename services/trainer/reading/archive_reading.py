"""Reads what a process that learns or judges works on."""

from __future__ import annotations

import structlog

from services.trainer.patience import first_line, patiently
from services.trainer.processes.evaluation_jobs import ModelJob, PairJob
from services.trainer.processes.reports import Job
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, database_engine
from shared.domain.events.event_columns import EventColumns

_log = structlog.get_logger("reading")
_READ_SECONDS = 60.0
_MOST_READS = 5
"""What is cut off so often may be what cuts it off."""


async def read(job: Job | ModelJob | PairJob, application: str) -> EventColumns:
    """The archive up to the job's position. While PostgreSQL is away it waits; after a minute it raises
    StillAwayError. A long archive takes longer than that to read: when PostgreSQL goes meanwhile, it is waited for as
    long, and reading begins anew. application: how PostgreSQL knows who asks."""
    async with database_engine(job.database_url, job.namespace, application) as engine:
        archive = Archive(engine)
        for _ in range(_MOST_READS - 1):
            await patiently(archive.position, UNAVAILABLE, _READ_SECONDS)
            try:
                return await archive.read_columns(job.to_position)
            except DEFECTS:
                raise
            except UNAVAILABLE as error:
                _log.warning("reading begins anew", reason=first_line(error))
        return await patiently(lambda: archive.read_columns(job.to_position), UNAVAILABLE, _READ_SECONDS)
