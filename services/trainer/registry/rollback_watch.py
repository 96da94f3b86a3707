"""Compares the champion with its predecessor on later traffic, now and then, and rolls it back when it does worse.

Decision: judged as the gate judges, on each user's next event later than the training of both, from the bundles as they
came out of training, by events that no recommendation had prompted; so a champion is held to what it was promoted for.
It gives way to training: both would take the same processors, and a new candidate is compared with the champion anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from services.trainer.patience import StillAwayError, first_line
from services.trainer.policies.regression import Comparison, Verdict, judge_regression, look_is_due
from services.trainer.processes.evaluation_jobs import Failed, Judged, PairJob
from services.trainer.processes.worker_process import judged
from services.trainer.reading.exposure_reading import keep_exposures
from services.trainer.registry.click_through import click_through_sentence
from services.trainer.registry.promoting import NotPromotableError, Pair, Promoting
from services.trainer.registry.served_answers import newest_answers
from services.trainer.registry.stored_models import NotStoredError, packed_bundle
from services.trainer.runs.publishing import LOG_AWAY
from services.trainer.runs.runs import Runs
from services.trainer.runs.training_run import Tools
from services.trainer.settings import TrainerSettings
from shared.adapters.jetstream.streams import StreamError
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.registry import RegisteredModel
from shared.runtime.scratch import scratch_directory

_log = structlog.get_logger("rollback_watch")
_GIVE_WAY_SECONDS = 0.5
_CLICK_THROUGH_SECONDS = 20.0
LOOKS = Counter(
    "freshet_rollback_looks_total", "Comparisons of champion and predecessor, by outcome.", ["outcome"]
)
LEAD = Gauge(
    "freshet_champion_lead_ndcg_at_10",
    "NDCG@10 of the champion minus its predecessor's, on traffic later than the training of both.",
)


class _Look(NamedTuple):
    """The last look. decision: number of the one that had made the champion. learned_to: up to where one of both had
    learned. later_events: how many there were behind that."""

    decision: int
    learned_to: int
    later_events: int


class RollbackWatch:
    """Looks, judges in a process of its own, and leaves the rest to `Promoting`."""

    def __init__(self, tools: Tools, settings: TrainerSettings, runs: Runs, promoting: Promoting) -> None:
        self._tools, self._settings = tools, settings
        self._runs, self._promoting = runs, promoting
        self._last: _Look | None = None

    async def run(self, check_seconds: float) -> None:
        """Check until cancelled; what cannot be looked at now is looked at the next time."""
        while True:
            await asyncio.sleep(check_seconds)
            try:
                await self.check()
            except DEFECTS:
                raise
            except NotPromotableError as error:
                _log.debug("no rollback", reason=str(error))
            except (NotStoredError, StillAwayError, *UNAVAILABLE) as error:
                _log.warning("champion is compared later", reason=first_line(error))

    async def check(self) -> Verdict | None:
        """Compare, if that is due, and act. None when it was not due, could not be done, or gave way to a run.

        Raises NotPromotableError when there is nobody to return to, NotStoredError, StillAwayError, and what PostgreSQL
        raises.
        """
        if self._runs.running or not self._runs.recovered:
            return None
        decision = len(await self._tools.registry.promotions.history())
        last = self._last if self._last and self._last.decision == decision else None
        if last and not await self._is_due(last.learned_to, last.later_events):
            return None  # before bundles are fetched for it
        pair = await self._promoting.pair()
        learned_to = max(model.trained_to_position for model in pair)
        if last or await self._is_due(learned_to, 0):
            later = await self._tools.archive.count_after(learned_to)
            if comparison := await self._compared(pair, learned_to):
                verdict = await self._act(pair, comparison)
                self._last = _Look(decision, learned_to, later)
                return verdict
        return None

    async def _is_due(self, learned_to: int, looked_at: int) -> bool:
        later = await self._tools.archive.count_after(learned_to)
        return look_is_due(later, looked_at, self._settings.rollback_min_judged_users)

    async def _act(self, pair: Pair, comparison: Comparison) -> Verdict:
        verdict = judge_regression(comparison, self._settings.rollback_min_judged_users)
        LOOKS.labels("worse" if verdict.rolled_back else "stays").inc()
        LEAD.set(comparison.difference)
        _log.info("champion compared", rolled_back=verdict.rolled_back, reason=verdict.reason)
        if verdict.rolled_back:
            reason = "; ".join(filter(None, (verdict.reason, await self._click_through(pair))))
            await self._promoting.roll_back_automatically(pair, reason)
        return verdict

    async def _click_through(self, pair: Pair) -> str:
        """What users did with both models' answers; empty when that cannot be told."""
        champion, predecessor = (model.model_version for model in pair)
        try:
            async with asyncio.timeout(_CLICK_THROUGH_SECONDS):
                found = await newest_answers(self._tools, self._settings.domain)
        except DEFECTS:
            raise
        except (*LOG_AWAY, *UNAVAILABLE, StreamError) as error:
            _log.warning("click-through cannot be told", reason=first_line(error))
            return ""
        return click_through_sentence(found, champion, predecessor)

    async def _compared(self, pair: Pair, learned_to: int) -> Comparison | None:
        """How both did; None when that could not be told, or a run began meanwhile."""
        # Before the exposures: of what happens behind them nobody could say what had prompted it.
        to_position = await self._tools.archive.position()
        with scratch_directory("comparing") as directory:
            await keep_exposures(self._tools.connection, self._tools.names, directory)
            job = await self._job(pair, learned_to, to_position, directory)
            report = await self._unless_a_run_begins(job)
        if isinstance(report, Judged):
            return Comparison(**report.document)
        LOOKS.labels("gave way" if report is None else "failed").inc()
        if report is not None:
            _log.error("champion cannot be compared", reason=report.reason)
        return None

    async def _unless_a_run_begins(self, job: PairJob) -> Judged | Failed | None:
        judging = asyncio.create_task(judged(job))
        try:
            while not judging.done() and not self._runs.running:
                await asyncio.wait({judging}, timeout=_GIVE_WAY_SECONDS)
            return judging.result() if judging.done() else None
        finally:
            judging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await judging

    async def _job(self, pair: Pair, learned_to: int, to_position: int, directory: Path) -> PairJob:
        settings = self._settings
        return PairJob(
            database_url=settings.database_url,
            namespace=settings.namespace,
            domain=settings.domain,
            directory=str(directory),
            min_users=settings.rollback_min_judged_users,
            champion_version=pair.champion.model_version,
            champion_bundle=await self._file(pair.champion, directory),
            predecessor_version=pair.predecessor.model_version,
            predecessor_bundle=await self._file(pair.predecessor, directory),
            learned_to=learned_to,
            to_position=to_position,
            history_length=settings.history_length,
            seed=settings.train_seed,
            threads=settings.train_threads,
            niceness=settings.train_niceness,
            log_level=settings.log_level,
        )

    async def _file(self, model: RegisteredModel, directory: Path) -> str:
        file = directory / f"{model.model_version}.bundle"
        await asyncio.to_thread(file.write_bytes, await packed_bundle(self._tools.store, model))
        return str(file)
