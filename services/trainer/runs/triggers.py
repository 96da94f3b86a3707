"""Starts the runs that nobody asks for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from freshet.trainer.v1.trainer_pb2 import TRAINING_STATE_FAILED
from services.trainer.patience import first_line
from services.trainer.policies.schedule import Policy, Situation, next_trigger
from services.trainer.runs.drift_watch import DriftWatch
from services.trainer.runs.runs import AlreadyRunningError, NotOpenError, Runs
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.registry import Registry

_log = structlog.get_logger("triggers")


class _Counted(NamedTuple):
    """So many events lie behind what models have learned, up to where the archive was."""

    learned: int = 0
    archived: int = 0
    events: int = 0


class Triggers:
    """Looks at the archive now and then, and asks the policy."""

    def __init__(
        self, runs: Runs, archive: Archive, registry: Registry, policy: Policy, drift: DriftWatch
    ) -> None:
        self._runs = runs
        self._drift = drift
        self._archive = archive
        self._registry = registry
        self._policy = policy
        self._since = time.monotonic()
        self._counted = _Counted()
        self._looked_at = 0

    async def run(self, check_seconds: float) -> None:
        """Check until cancelled; what cannot be looked at now is looked at the next time."""
        while True:
            await asyncio.sleep(check_seconds)
            try:
                await self.check()
            except DEFECTS:
                raise
            except UNAVAILABLE as error:
                _log.warning("triggers wait for postgres", reason=first_line(error))

    async def check(self) -> None:
        """Start a run if one is due. Raises what PostgreSQL raises."""
        if self._runs.running or not self._runs.recovered:
            return
        trigger = next_trigger(self._policy, await self._situation())
        if trigger is not None:
            with contextlib.suppress(
                AlreadyRunningError, NotOpenError
            ):  # a call was quicker, or the end is near
                await self._runs.start(trigger)

    async def _situation(self) -> Situation:
        now = datetime.now(UTC)
        last = await self._runs.last(now)  # one that is yet to start began before the clock was set back
        started = last.start_time.ToDatetime(tzinfo=UTC) if last else None
        return Situation(
            running=self._runs.running,
            seconds_since_run=(now - started).total_seconds() if started else time.monotonic() - self._since,
            last_failed=last is not None and last.state == TRAINING_STATE_FAILED,
            new_events=await self._new_events(),
            arriving=await self._arriving(),
            drift_psi=await self._drift_psi(),
        )

    async def _drift_psi(self) -> float:
        """What was found of the champion; until the next look what is known may be of the one before."""
        champion, found = await self._registry.champion(), self._drift.found
        if champion is None or found is None or found.model_version != champion.model_version:
            return 0.0
        return found.drift.psi

    async def _arriving(self) -> int:
        """By how much the archive has grown since the last look."""
        before, self._looked_at = self._looked_at, await self._archive.position()
        return self._looked_at - before

    async def _new_events(self) -> int:
        """What came since the last look is added to the count: all anew would take the longer, the more there are."""
        learned = await self._registry.learned_to()
        archived = await self._archive.position()
        known = self._counted
        if known.learned != learned or archived < known.archived:
            known = _Counted(learned, learned, 0)
        if archived > known.archived:
            more = await self._archive.count_after(known.archived, archived)
            known = _Counted(learned, archived, known.events + more)
        self._counted = known
        return known.events
