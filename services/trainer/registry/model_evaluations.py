"""Judging registered models on demand, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from services.trainer.processes.evaluation_jobs import Judged, ModelJob
from services.trainer.processes.worker_process import judged
from services.trainer.reading.exposure_reading import keep_exposures
from services.trainer.registry.stored_models import NotStoredError, packed_bundle
from services.trainer.runs.training_run import Tools
from services.trainer.settings import TrainerSettings
from shared.adapters.postgres.registry import RegisteredModel
from shared.runtime.scratch import scratch_directory


class UnknownModelError(Exception):
    """There is no such model, or none at all."""


class NotJudgeableError(Exception):
    """The model is registered but cannot be judged; the message is a sentence."""


class JudgingError(Exception):
    """Judging went wrong; the message is a sentence."""


class JudgingAlreadyError(Exception):
    """Another model is being judged."""


class ModelEvaluations:
    """Judges models in a process of their own; what is cancelled ends its process."""

    def __init__(self, tools: Tools, settings: TrainerSettings) -> None:
        self._tools, self._settings = tools, settings
        self._busy = asyncio.Lock()

    async def judge(self, model_version: str, protocol: str) -> tuple[ModelJob, Judged]:
        """What was judged and how it came out. model_version: empty for the champion.

        Raises UnknownModelError, NotJudgeableError, JudgingError, JudgingAlreadyError, StillAwayError, and what
        PostgreSQL raises.
        """
        if self._busy.locked():
            raise JudgingAlreadyError("another model is being judged")
        async with self._busy:
            model = await self._model(model_version)
            if model.trained_to_position >= await self._tools.archive.position():
                raise NotJudgeableError(
                    f"there is no traffic later than the training of {model.model_version}"
                )
            with _directory() as directory:
                job = await self._job(model, protocol, directory)
                return job, await _judged(job)

    async def _model(self, model_version: str) -> RegisteredModel:
        registry = self._tools.registry
        if not model_version:
            if (champion := await registry.champion()) is None:
                raise UnknownModelError("there is no champion yet")
            return champion
        if (model := await registry.model(model_version)) is None:
            raise UnknownModelError(f"there is no model {model_version[:64]!r}")
        return model

    async def _job(self, model: RegisteredModel, protocol: str, directory: Path) -> ModelJob:
        settings, bundle = self._settings, directory / "model.bundle"
        content = await self._bundle(model)
        try:
            await asyncio.to_thread(bundle.write_bytes, content)
        except OSError as error:
            raise JudgingError(f"{bundle} cannot be written: {error.strerror}") from error
        # Before the exposures: of what happens behind them nobody could say what had prompted it.
        to_position = await self._tools.archive.position()
        await keep_exposures(self._tools.connection, self._tools.names, directory)
        return ModelJob(
            database_url=settings.database_url,
            namespace=settings.namespace,
            domain=settings.domain,
            directory=str(directory),
            min_users=settings.train_min_judged_users,
            protocol=protocol,
            model_version=model.model_version,
            bundle=str(bundle),
            learned_to=model.trained_to_position,
            to_position=to_position,
            history_length=settings.history_length,
            seed=settings.train_seed,
            threads=settings.train_threads,
            niceness=settings.train_niceness,
            log_level=settings.log_level,
        )

    async def _bundle(self, model: RegisteredModel) -> bytes:
        try:
            return await packed_bundle(self._tools.store, model)
        except NotStoredError as error:
            raise NotJudgeableError(str(error)) from error


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            directory = stack.enter_context(scratch_directory("judging"))
        except OSError as error:
            raise JudgingError(f"there is no directory for the bundle: {error}") from error
        yield directory


async def _judged(job: ModelJob) -> Judged:
    report = await judged(job)
    if isinstance(report, Judged):
        return report
    if report.refused:
        raise NotJudgeableError(f"model {job.model_version} cannot be judged: {report.reason}")
    raise JudgingError(report.reason)
