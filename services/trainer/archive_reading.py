"""Reads what a process that learns or judges works on."""

from __future__ import annotations

from services.trainer.evaluation_jobs import ModelJob, PairJob
from services.trainer.patience import patiently
from services.trainer.reports import Job
from shared.adapters.archive import Archive
from shared.adapters.database import UNAVAILABLE, database_engine
from shared.domain.event_columns import EventColumns

_READ_SECONDS = 60.0


async def read(job: Job | ModelJob | PairJob, application: str) -> EventColumns:
    """The archive up to the job's position. While PostgreSQL is away it waits; after a minute it raises
    StillAwayError. application: how PostgreSQL knows who asks."""
    async with database_engine(job.database_url, job.namespace, application) as engine:
        archive = Archive(engine)
        return await patiently(lambda: archive.read_columns(job.to_position), UNAVAILABLE, _READ_SECONDS)
