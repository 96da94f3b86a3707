"""One run from the log's last position to a published model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from nats.aio.client import Client

from freshet.trainer.v1.trainer_pb2 import TrainingRun, TrainingState
from services.trainer.patience import StillAwayError, patiently
from services.trainer.policies.full_runs import full_is_due
from services.trainer.policies.gate import Decision, decide
from services.trainer.processes.jobs import job_of
from services.trainer.processes.reports import Died, Entered, Failed, Finished, Job, Learned, Read, Report
from services.trainer.processes.worker_process import working
from services.trainer.reading.exposure_reading import forget_exposures, keep_exposures
from services.trainer.runs.progress import PhaseClock, note_learning, note_resumed, state_word, succeeded
from services.trainer.runs.publishing import LOG_AWAY, Publisher
from services.trainer.runs.run_directories import RunDirectories, Wish
from services.trainer.settings import TrainerSettings
from shared.adapters.jetstream.bundle_store import BundleNotFoundError, BundleStore
from shared.adapters.jetstream.streams import Names, StreamError, last_position
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import UNAVAILABLE
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.registry import RegisteredModel, Registry
from shared.domain.models.manifest import model_version

_log = structlog.get_logger("training_run")
_ARCHIVE_POLL_SECONDS = 0.2
_LOG_WAIT_SECONDS = 10.0
_CHAMPION_WAIT_SECONDS = 60.0
_MOST_DEATHS = 4
"""Of processes that learn, in one run under one trainer."""
_Answer = TypeVar("_Answer")
Note = Callable[[bool], Awaitable[None]]
"""Called when the run has changed; with True when that is to be stored."""


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
    erasures: ModelErasures


class Conductor:
    """Takes runs through their states."""

    def __init__(self, tools: Tools, settings: TrainerSettings) -> None:
        self._tools = tools
        self._settings = settings
        self.directories = RunDirectories(settings.train_directory)

    async def conduct(self, run: TrainingRun, wish: Wish, note: Note) -> TrainingRun:
        """Take `run` to its end; returns it as it is then. Raises RunFailedError when there will be no model."""
        clock = PhaseClock()
        clock.enter(run.state)
        job = await self._job(run, wish)
        await self._keep_exposures(job)
        finished = await self._learn(run, job, clock, note)
        decision = decide(finished.evidence, self._settings.train_min_judged_users)
        ended = await self._publish(run, finished, decision)
        clock.enter(ended.state)
        _log_end(ended, clock)
        return ended

    async def _keep_exposures(self, job: Job) -> None:
        try:
            await keep_exposures(self._tools.connection, self._tools.names, Path(job.directory))
        except StillAwayError as error:
            raise RunFailedError(f"what was recommended cannot be read from NATS: {error}") from error

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

    async def _job(self, run: TrainingRun, wish: Wish) -> Job:
        """What the run was told when it was cut off, if its champion still is the one to beat; else a new job."""
        directories, champion = self.directories, await self._champion()
        try:
            directory = await asyncio.to_thread(directories.begin, run.run_id, wish)
            asked = self._asked(run, wish, str(directory))
            job = await asyncio.to_thread(directories.job, run.run_id, asked)
            if job is None or job.champion_version != (champion.model_version if champion else ""):
                run.trained_to_position = await self._archived_log()
                full = wish.full or await self._full_is_due() or await self._is_marked(champion)
                job = asked._replace(to_position=run.trained_to_position, full=full)
                forget_exposures(directory)
            # Fetched anew also for a job that was kept: of its file a crash of the machine may have left a part.
            job = await self._with_champion(job, champion) if champion else job
            await asyncio.to_thread(directories.save_job, run.run_id, job)
        except OSError as error:
            raise RunFailedError(f"the run's directory cannot be used: {error}") from error
        run.trained_to_position = job.to_position
        return job

    async def _champion(self) -> RegisteredModel | None:
        return await _asked_for(self._tools.registry.champion)

    def _asked(self, run: TrainingRun, wish: Wish, directory: str) -> Job:
        job = job_of(self._settings)
        return job._replace(
            run_id=run.run_id,
            directory=directory,
            max_minutes=wish.max_minutes or job.max_minutes,
            encoder=wish.encoder or job.encoder,
            preset=wish.preset or job.preset,
        )

    async def _full_is_due(self) -> bool:
        every, registry = self._settings.train_full_every, self._tools.registry
        models = await _asked_for(lambda: registry.list_models(every))
        return full_is_due([model.metrics for model in models], every)

    async def _is_marked(self, champion: RegisteredModel | None) -> bool:
        """Whether a champion may have learned from an erased user: what goes on from it would have, too."""
        if champion is None:
            return False
        version = champion.model_version
        return version in await _asked_for(lambda: self._tools.erasures.receipts_of([version]))

    async def _with_champion(self, job: Job, champion: RegisteredModel) -> Job:
        """A champion that is not in the store cannot be compared with; the gate then says so."""
        file = Path(job.directory) / "champion.bundle"
        job = job._replace(
            champion_version=champion.model_version, champion_bundle="", champion_unreadable=""
        )
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
        """A process that dies is followed by another one, which goes on from the checkpoint; a few times."""
        last = await self._process(run, job, clock, note)
        for _ in range(_MOST_DEATHS - 1):
            if isinstance(last, Finished):
                break
            note_resumed(run)
            _log.warning("run is resumed", run_id=run.run_id, reason=last.reason)
            await note(True)
            last = await self._process(run, job, clock, note)
        if isinstance(last, Died):
            raise RunFailedError(f"{last.reason}; it was the {_MOST_DEATHS}th of this run")
        run.metrics.update(last.metrics)
        return last

    async def _process(self, run: TrainingRun, job: Job, clock: PhaseClock, note: Note) -> Finished | Died:
        async with working(job) as reports:
            async for report in reports:
                if isinstance(report, (Finished, Died)):
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


async def _asked_for(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What the registry answers. Raises RunFailedError when it is away too long."""
    try:
        return await patiently(ask, UNAVAILABLE, _CHAMPION_WAIT_SECONDS)
    except StillAwayError as error:
        raise RunFailedError(f"the registry cannot be reached: {error}") from error


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
