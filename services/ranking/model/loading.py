"""Loads models by a process of its own, and takes over what it made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import BinaryIO

from services.ranking.model import handover
from services.ranking.model.load_messages import (
    Loaded,
    LoadJob,
    Outcome,
    Refused,
    Unavailable,
    decode,
    encode,
)
from services.ranking.model.scorer import Scorer
from services.ranking.settings import RankingSettings
from shared.runtime.fork_server import ForkServer


class ModelRefusedError(Exception):
    """The bundle is not fit to serve; the message says why."""


class ModelUnavailableError(Exception):
    """The bundle cannot be had now, another time perhaps; the message says why."""


class ModelLoader:
    """Loads models as the settings say. Must be closed."""

    def __init__(self, settings: RankingSettings) -> None:
        self._settings = settings
        self._server = ForkServer("services.ranking.model.loader", settings.scorer_threads)

    async def load(self, digest: str, share: float) -> Scorer:
        """The scorer of a stored bundle, checked and warm. share: of the time, in (0, 1], that it may take from calls.
        Raises ModelRefusedError, ModelUnavailableError."""
        with handover.shared_file() as file:
            async with self._server.forked(encode(self._job(digest)), [file.fileno()], share) as lines:
                outcome = await _outcome(lines)
            match outcome:
                case Loaded(sizes):
                    return await asyncio.to_thread(_taken_over, file, sizes)
                case Refused(reason):
                    raise ModelRefusedError(reason)
                case Unavailable(reason):
                    raise ModelUnavailableError(reason)

    def close(self) -> None:
        """End the process that loads are forked from."""
        self._server.close()

    def _job(self, digest: str) -> LoadJob:
        settings = self._settings
        return LoadJob(
            digest,
            settings.bundle_store,
            settings.nats_url,
            settings.namespace,
            settings.scorer_threads,
            settings.ranking_precision,
            settings.log_level,
        )


async def _outcome(lines: asyncio.StreamReader) -> Outcome:
    with contextlib.suppress(ConnectionResetError):  # it died with the job unread
        async for line in lines:
            outcome: Outcome = decode(line)
            return outcome
    return Unavailable("the process that loads ended before it was done")


def _taken_over(file: BinaryIO, sizes: Sequence[int]) -> Scorer:
    handed = handover.read(file, sizes)
    scorer: Scorer = handed.value
    scorer.memory = handed.memory
    scorer.warm_up()
    return scorer
