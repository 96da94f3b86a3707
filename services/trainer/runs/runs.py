"""The runs: at most one at a time, what became of the others, and news of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

import structlog

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_STATE_PUBLISHING,
    TRAINING_TRIGGER_REQUEST,
    TrainingRun,
    TrainingTrigger,
)
from services.trainer.patience import StillAwayError, first_line, patiently
from services.trainer.policies.gate import Decision
from services.trainer.runs.progress import (
    RUNNING,
    RUNS,
    STOPPED,
    failed,
    new_run,
    note_resumed,
    state_word,
    succeeded,
)
from services.trainer.runs.run_directories import Wish
from services.trainer.runs.training_run import Conductor, RunFailedError
from shared.adapters.postgres.database import UNAVAILABLE, within
from shared.adapters.postgres.registry import ENDED, RegisteredModel, Registry

_log = structlog.get_logger("runs")
_NEWS_SECONDS, _LOOK_SECONDS = 0.5, 5.0
_KEEP_SECONDS, _KEEP_AT_STOP_SECONDS, _KEEP_STATE_SECONDS = 3600.0, 3.0, 0.0
_RECENT = 100
ANYTHING = Wish()
GAVE_WAY = "it gave way to a run that was asked for"
_ENDING_SECONDS = 5.0
"""How long a run that comes to its end is waited for: longer, and it is PostgreSQL or NATS that it waits for."""
_MOST_RESUMES = 10
"""Of one run: what has been cut off so often may be what ends the trainer."""


class NotOpenError(Exception):
    """The trainer is starting or stopping; no run can start."""


class AlreadyRunningError(Exception):
    """One run goes on; it is named by `run_id`."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"training run {run_id} goes on")
        self.run_id = run_id


class Runs:
    """Starts, remembers and stops runs. Database errors pass through from all of it but `stop`.

    A run outlives the trainer: one that stops leaves its run as it stands, and the next one goes on with it.

    recovered: whether `open` has put in order what an earlier process left; before that nothing else may be asked.
    """

    def __init__(self, registry: Registry, conductor: Conductor) -> None:
        self._registry = registry
        self._conductor = conductor
        self._current: TrainingRun | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._news = asyncio.Event()
        self._open = False
        self._gives_way = self._ending = self._left = False
        self._begun = set[str]()
        self.recovered = False

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._current is not None and self._current.state not in ENDED

    async def open(self) -> None:
        """Go on with the run that an earlier process left unfinished, then let runs start.

        One whose model is registered had come to its end. The newest of the others goes on, from its checkpoint if
        there is one; it fails if nothing is left of it on this machine, or if it has been cut off too often.
        """
        models = {model.run_id: model for model in await self._registry.list_models(_RECENT)}
        left = None
        for run in await self._registry.list_runs(_RECENT):
            if run.state in ENDED:
                continue
            if run.run_id not in models and left is None and self._can_go_on(run):
                left = run
                continue
            ended = _ended_before(run, models.get(run.run_id))
            await self._registry.save_run(ended)
            _log.warning("a run was cut off", run_id=run.run_id, state=state_word(ended.state))
        await self._forget_ended()
        if left is not None:
            await self._go_on_with(left)
        self._open = self.recovered = True

    def _can_go_on(self, run: TrainingRun) -> bool:
        kept = self._conductor.directories.wish(run.run_id) is not None
        return kept and run.resumed_count < _MOST_RESUMES

    async def _forget_ended(self) -> None:
        """Delete what ended runs have left; directories of runs that are not known may be another trainer's."""
        for run_id in self._conductor.directories.run_ids():
            if (run := await self._registry.run(run_id)) is not None and run.state in ENDED:
                self._conductor.directories.forget(run_id)

    async def _go_on_with(self, run: TrainingRun) -> None:
        note_resumed(run)
        await self._registry.save_run(run)
        _log.info("run is resumed", run_id=run.run_id, times=run.resumed_count)
        self._begin(run, self._conductor.directories.wish(run.run_id) or ANYTHING)

    async def start(
        self, trigger: TrainingTrigger, request_id: str = "", wish: Wish = ANYTHING
    ) -> TrainingRun:
        """Start a run, or name the one that the same request started. Once begun it is done to its end, also when the
        caller has gone.

        Raises AlreadyRunningError, NotOpenError.
        """
        return await asyncio.shield(asyncio.create_task(self._started(trigger, request_id, wish)))

    async def _started(self, trigger: TrainingTrigger, request_id: str, wish: Wish) -> TrainingRun:
        async with self._starting:
            self._check_open()
            known = await self._registry.run_of_request(request_id) if request_id else None
            if known and (known.state in ENDED or known.run_id in self._begun):
                return self._newest(known)
            await self._make_way(trigger)
            self._check_open()
            run = known or new_run(trigger)  # known: it was stored, but that answer never came
            await self._registry.save_run(run, request_id)
            await asyncio.to_thread(self._conductor.directories.note, run.run_id, wish)
            self._begin(run, wish)
            return _copy(run)

    def _check_open(self) -> None:
        if not self._open:
            raise NotOpenError("the trainer is starting or stopping")

    def _begin(self, run: TrainingRun, wish: Wish) -> None:
        self._current, self._gives_way, self._ending = run, False, False
        self._begun.add(run.run_id)
        self._task = asyncio.create_task(self._carry_out(run, wish), name=f"run {run.run_id}")

    async def _make_way(self, trigger: TrainingTrigger) -> None:
        """End a run that nobody asked for, for the sake of one that somebody does. One that comes to its end is waited
        for: its model may be champion already. Raises AlreadyRunningError."""
        if self._current is None or self._task is None or not self.running:
            return
        if trigger != TRAINING_TRIGGER_REQUEST or self._current.trigger == TRAINING_TRIGGER_REQUEST:
            raise AlreadyRunningError(self._current.run_id)
        if self._ending or self._current.state == TRAINING_STATE_PUBLISHING:
            await asyncio.wait({self._task}, timeout=_ENDING_SECONDS)
            if self.running:
                raise AlreadyRunningError(self._current.run_id)
            return
        self._gives_way = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def get(self, run_id: str) -> TrainingRun | None:
        """One run as it is now; None when there is none of that id."""
        if self._current is not None and self._current.run_id == run_id:
            return _copy(self._current)
        return await self._registry.run(run_id)

    async def newest(self, limit: int) -> list[TrainingRun]:
        """The newest runs as they are now, the newest first."""
        return [self._newest(run) for run in await self._registry.list_runs(limit)]

    async def last(self, by: datetime) -> TrainingRun | None:
        """The newest run that had started by a time; None when none had."""
        found = await self._registry.list_runs(1, by)
        return self._newest(found[0]) if found else None

    async def watch(self, run_id: str) -> AsyncIterator[TrainingRun]:
        """The run whenever it has changed, at most twice a second, to its end. Nothing for an unknown id."""
        told: TrainingRun | None = None
        while True:
            news = self._news
            run = await self.get(run_id)
            if run is None:
                return
            if run != told:
                yield run
            if run.state in ENDED:
                return
            told = run
            await asyncio.sleep(_NEWS_SECONDS)
            # Of a run that another trainer carries there is no news here.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), _LOOK_SECONDS)

    async def stop(self) -> None:
        """Leave the run that goes on to the next trainer, and let none start. A second call does nothing."""
        self._open = False
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def leave(self) -> None:
        """As `stop`, and store nothing of the run: another trainer carries it, or has said that it was stopped."""
        self._left = True
        await self.stop()

    async def _carry_out(self, run: TrainingRun, wish: Wish) -> None:
        _log.info("run starts", run_id=run.run_id, trigger=TrainingTrigger.Name(run.trigger))
        RUNNING.set(1)
        try:
            ended = await self._conductor.conduct(run, wish, self._note)
        except RunFailedError as error:
            ended = failed(run, str(error))
        except asyncio.CancelledError:
            await self._cut_off(run)
            raise
        except Exception as error:
            _log.error("run failed", run_id=run.run_id, exc_info=error)
            ended = failed(run, f"a defect, see the log: {type(error).__name__}: {first_line(error)}")
        await self._end(ended, _KEEP_SECONDS)

    async def _cut_off(self, run: TrainingRun) -> None:
        if self._gives_way and not self._left:
            await self._end(failed(run, GAVE_WAY), _KEEP_AT_STOP_SECONDS)
            return
        RUNNING.set(0)
        if self._left:
            return
        _log.info("run is left to the next trainer", run_id=run.run_id)
        try:
            await patiently(
                lambda: within(_KEEP_AT_STOP_SECONDS, self._registry.save_run(run)),
                UNAVAILABLE,
                _KEEP_AT_STOP_SECONDS,
            )
        except StillAwayError as error:
            _log.warning("the run's state is not stored", run_id=run.run_id, reason=str(error))

    async def _end(self, ended: TrainingRun, keep_seconds: float) -> None:
        """Store the end first, then tell: who has seen a run's end finds it in the database."""
        self._ending = True
        try:
            await patiently(lambda: self._registry.save_run(ended), UNAVAILABLE, keep_seconds)
        except StillAwayError as error:
            _log.error("the run's end is not stored", run_id=ended.run_id, reason=str(error))
        finally:
            self._current = ended
            self._tell()
            RUNNING.set(0)
            RUNS.labels(state_word(ended.state)).inc()
        # Forgotten even if its end is not stored: the next trainer then says that it was stopped.
        await asyncio.to_thread(self._conductor.directories.forget, ended.run_id)
        if ended.error:
            _log.warning("run failed", run_id=ended.run_id, reason=ended.error)

    async def _note(self, store: bool) -> None:
        self._tell()
        if not store or self._current is None:
            return
        current = self._current
        try:
            await patiently(lambda: self._registry.save_run(current), UNAVAILABLE, _KEEP_STATE_SECONDS)
        except StillAwayError as error:
            _log.warning("the run's state is stored later", reason=str(error))

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _newest(self, run: TrainingRun) -> TrainingRun:
        """What memory knows is newer than what is stored."""
        if self._current is not None and self._current.run_id == run.run_id:
            return _copy(self._current)
        return run


def _ended_before(run: TrainingRun, model: RegisteredModel | None) -> TrainingRun:
    """The end of a run that an earlier process left, with the model that it had registered."""
    if model is None:
        return failed(run, STOPPED)
    return succeeded(run, model.model_version, Decision(model.promoted, model.reason))


def _copy(run: TrainingRun) -> TrainingRun:
    copy = TrainingRun()
    copy.CopyFrom(run)
    return copy
