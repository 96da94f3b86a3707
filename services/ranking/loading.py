"""Loads models by a process of its own, and takes over what it made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import BinaryIO

from services.ranking import handover
from services.ranking.load_messages import Loaded, LoadJob, Outcome, Refused, Unavailable, decode, encode
from services.ranking.scorer import Scorer
from services.ranking.settings import RankingSettings
from shared.runtime.child_process import Child, child_process


class ModelRefusedError(Exception):
    """The bundle is not fit to serve; the message says why."""


class ModelUnavailableError(Exception):
    """The bundle cannot be had now, another time perhaps; the message says why."""


async def load(digest: str, settings: RankingSettings) -> Scorer:
    """The scorer of a stored bundle, checked and warm. Raises ModelRefusedError, ModelUnavailableError."""
    with handover.shared_file() as file:
        job = _job(digest, file.fileno(), settings)
        async with child_process(
            "services.ranking.loader", encode(job), job.threads, [job.descriptor]
        ) as child:
            outcome = await _outcome(child)
        match outcome:
            case Loaded(sizes):
                return await asyncio.to_thread(_taken_over, file, sizes)
            case Refused(reason):
                raise ModelRefusedError(reason)
            case Unavailable(reason):
                raise ModelUnavailableError(reason)


def _job(digest: str, descriptor: int, settings: RankingSettings) -> LoadJob:
    return LoadJob(
        digest,
        descriptor,
        settings.bundle_store,
        settings.nats_url,
        settings.namespace,
        settings.scorer_threads,
        settings.ranking_precision,
        settings.log_level,
    )


async def _outcome(child: Child) -> Outcome:
    with contextlib.suppress(ConnectionResetError):  # it died with the job unread
        async for line in child.lines:
            outcome: Outcome = decode(line)
            return outcome
    return Unavailable(f"the process that loads ended with code {await child.exit_code()}")


def _taken_over(file: BinaryIO, sizes: Sequence[int]) -> Scorer:
    scorer: Scorer = handover.read(file, sizes)
    scorer.warm_up()
    return scorer
