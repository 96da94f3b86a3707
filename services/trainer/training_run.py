"""One run from the log's last position to a published model."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog
from nats.aio.client import Client

from freshet.trainer.v1.trainer_pb2 import TrainingRun, TrainingState
from services.trainer.exposure_reading import keep_exposures
from services.trainer.gate import Decision, decide
from services.trainer.patience import StillAwayError, patiently
from services.trainer.progress import PhaseClock, note_learning, state_word, succeeded
from services.trainer.publishing import LOG_AWAY, Publisher
from services.trainer.reports import Entered, Failed, Finished, Job, Learned, Read, Report
from services.trainer.settings import TrainerSettings
from services.trainer.worker_process import working
from shared.adapters.archive import Archive
from shared.adapters.bundle_store import BundleNotFoundError, BundleStore
from shared.adapters.database import UNAVAILABLE
from shared.adapters.registry import RegisteredModel, Registry
from shared.adapters.streams import Names, StreamError, last_position
from shared.domain.manifest import model_version

_log = structlog.get_logger("training_run")
_ARCHIVE_POLL_SECONDS = 0.2
_LOG_WAIT_SECONDS = 10.0
_CHAMPION_WAIT_SECONDS = 60.0
Note = Callable[[bool], Awaitable[None]]
"""Called when the run has changed; with True when that is to be stored."""


class Wish(NamedTuple):
    """What whoever starts a run asks for; 0 and empty stand for the setting.

    max_minutes: most time for learning. encoder, preset: names of the encoder and its size.
    """

    max_minutes: float = 0.0
    encoder: str = ""
    preset: str = ""


class RunFailedError(Exception):
    """The run ends without a model; the message is a sentence for people."""


@dataclass(frozen=True)
class Tools:
    """What a run works with."""

    connection: Client
    names: Names
    archive: Archive
    registry: Registry
    store: BundleStore
    publisher: Publisher


class Conductor:
    """Takes runs through their states."""

    def __init__(self, tools: Tools, settings: TrainerSettings) -> None:
        self._tools = tools
        self._settings = settings

    async def conduct(self, run: TrainingRun, wish: Wish, note: Note) -> TrainingRun:
        """Take `run` to its end; returns it as it is then. Raises RunFailedError when there will be no model."""
        clock = PhaseClock()
        clock.enter(run.state)
        run.trained_to_position = await self._archived_log()
        with tempfile.TemporaryDirectory(prefix="freshet-training-") as directory:
            await keep_exposures(self._tools.connection, self._tools.names, Path(directory))
            job = await self._job(run, wish, directory)
            finished = await self._learn(run, job, clock, note)
            decision = decide(finished.evidence, self._settings.train_min_judged_users)
            ended = await self._publish(run, finished, decision)
        clock.enter(ended.state)
        _log_end(ended, clock)
        return ended

    async def _archived_log(self) -> int:
        """The log's last position, once the archive holds it."""
        tools = self._tools
        try:
            position = await patiently(
                lambda: last_position(tools.connection, tools.names), LOG_AWAY, _LOG_WAIT_SECONDS
            )
        except (StillAwayError, StreamError) as error:
            raise RunFailedError(f"the log cannot be reached: {error}") from error
        deadline = time.monotonic() + self._settings.train_archive_wait_seconds
        while (held := await self._archived()) < position:
            if time.monotonic() > deadline:
                raise RunFailedError(
                    f"the archive holds the log up to position {held}, not up to {position}, after "
                    f"{self._settings.train_archive_wait_seconds:g} s of waiting"
                )
            await asyncio.sleep(_ARCHIVE_POLL_SECONDS)
        return position

    async def _archived(self) -> int:
        try:
            wait = self._settings.train_archive_wait_seconds
            return await patiently(self._tools.archive.position, UNAVAILABLE, wait)
        except StillAwayError as error:
            raise RunFailedError(f"the archive cannot be reached: {error}") from error

    async def _job(self, run: TrainingRun, wish: Wish, directory: str) -> Job:
        settings = self._settings
        job = Job(
            database_url=settings.database_url,
            namespace=settings.namespace,
            domain=settings.domain,
            directory=directory,
            to_position=run.trained_to_position,
            max_minutes=wish.max_minutes or settings.train_max_minutes,
            seed=settings.train_seed,
            threads=settings.train_threads,
            niceness=settings.train_niceness,
            hold_out_share=settings.train_hold_out_share,
            hold_out_rows=settings.train_hold_out_rows,
            min_users=settings.train_min_judged_users,
            history_length=settings.history_length,
            code_revision=settings.code_revision,
            log_level=settings.log_level,
            encoder=wish.encoder or settings.train_encoder,
            preset=wish.preset or settings.train_preset,
            loss=settings.train_loss,
            trim_share=settings.train_trim_share,
        )
        try:
            champion = await patiently(self._tools.registry.champion, UNAVAILABLE, _CHAMPION_WAIT_SECONDS)
        except StillAwayError as error:
            raise RunFailedError(f"the registry cannot be reached: {error}") from error
        return await self._with_champion(job, champion) if champion else job

    async def _with_champion(self, job: Job, champion: RegisteredModel) -> Job:
        """A champion that is not in the store cannot be compared with; the gate then says so."""
        file = Path(job.directory) / "champion.bundle"
        job = job._replace(champion_version=champion.model_version)
        store = self._tools.store
        try:
            content = await patiently(
                lambda: store.get(champion.bundle_digest), LOG_AWAY, _CHAMPION_WAIT_SECONDS
            )
        except BundleNotFoundError:
            return job._replace(champion_unreadable=f"{champion.model_version} is not in the bundle store")
        except StillAwayError as error:
            raise RunFailedError(f"the champion's bundle cannot be fetched: {error}") from error
        await asyncio.to_thread(file.write_bytes, content)
        return job._replace(champion_bundle=str(file), champion_position=champion.trained_to_position)

    async def _learn(self, run: TrainingRun, job: Job, clock: PhaseClock, note: Note) -> Finished:
        async with working(job) as reports:
            async for report in reports:
                if isinstance(report, Finished):
                    run.metrics.update(report.metrics)
                    return report
                await _apply(run, report, clock, note)
        raise RunFailedError("the process that learns gave no result")

    async def _publish(self, run: TrainingRun, finished: Finished, decision: Decision) -> TrainingRun:
        wait = self._settings.train_publish_wait_seconds
        try:
            decision = await self._tools.publisher.publish(run, finished, decision, wait)
        except StillAwayError as error:
            raise RunFailedError(f"the model could not be published: {error}") from error
        return succeeded(run, model_version(finished.digest), decision)


async def _apply(run: TrainingRun, report: Report, clock: PhaseClock, note: Note) -> None:
    """What a report says about the run. Raises RunFailedError when it says that there will be no model."""
    match report:
        case Failed(reason):
            raise RunFailedError(reason)
        case Entered(state):
            _enter(run, state, clock)
            await note(True)
        case Read(event_count):
            run.event_count = event_count
        case Learned():
            note_learning(run, report)
            await note(False)


def _enter(run: TrainingRun, state: TrainingState, clock: PhaseClock) -> None:
    run.state = state
    clock.enter(state)
    _log.info("run goes on", run_id=run.run_id, state=state_word(state))


def _log_end(ended: TrainingRun, clock: PhaseClock) -> None:
    _log.info(
        "run ended",
        run_id=ended.run_id,
        model_version=ended.model_version,
        promoted=ended.decision.promoted,
        reason=ended.decision.reason,
        seconds={name: round(seconds, 3) for name, seconds in clock.seconds.items()},
    )
