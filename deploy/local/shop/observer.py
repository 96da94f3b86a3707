"""What is seen from outside while the shop runs: its own statistics and what the services tell."""

import asyncio
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deploy.local.shop.statistics import ARMS, CONTROL, PERSONALISED, Interval, Statistics, lift
from freshet.ranking.v1.ranking_pb2 import GetModelStatusResponse
from freshet.trainer.v1.trainer_pb2 import (
    TrainingRun,
    TrainingState,
)
from shared.client import FreshetClient, FreshetError

POLL_SECONDS = 1.0
POLL_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Group:
    """One group of shoppers: what it was shown, and how often it clicked."""

    impressions: int
    click_rate: Interval


@dataclass(frozen=True, slots=True)
class Training:
    """A training run as it is now: its state in a word, how far it is, and what came of it."""

    run_id: str
    state: str
    step: int
    total_steps: int
    loss: float
    examples_per_second: float
    eta_seconds: float
    outcome: str

    @property
    def going_on(self) -> bool:
        """Whether it has not ended."""
        return self.state not in ("succeeded", "failed")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the live view shows, at one moment; nan: unknown."""

    uptime_seconds: float
    phase: str
    events: int
    events_per_second: float
    delay_p50_ms: float
    delay_p99_ms: float
    answers: int
    degraded_share: float
    model_version: str
    model_age_seconds: float
    swap_count: int
    training: Training | None
    groups: dict[str, Group]
    lift: Interval
    failures: dict[str, int]
    notices: list[str]


@dataclass(slots=True)
class Observer:
    """Asks the services once a second, and makes snapshots."""

    client: FreshetClient
    statistics: Statistics
    phase: str = "starting"
    model: GetModelStatusResponse = field(default_factory=GetModelStatusResponse)
    run: TrainingRun | None = None
    notices: list[str] = field(default_factory=list)

    async def watch(self) -> None:
        """Keeps what is known of the services fresh, until cancelled."""
        while True:
            await asyncio.gather(self._poll_ranking(), self._poll_trainer())
            await asyncio.sleep(POLL_SECONDS)

    def snapshot(self) -> Snapshot:
        """What is known now."""
        measured, now = self.statistics, time.monotonic()
        rates = {arm: measured.arms[arm].click_rate() for arm in ARMS}
        return Snapshot(
            uptime_seconds=now - measured.started,
            phase=self.phase,
            events=measured.events,
            events_per_second=measured.rate.per_second(now, measured.started),
            delay_p50_ms=1_000 * measured.delay_quantile(0.5),
            delay_p99_ms=1_000 * measured.delay_quantile(0.99),
            answers=measured.answers,
            degraded_share=measured.degraded_share(),
            model_version=self.model.serving.model_version,
            model_age_seconds=self._model_age_seconds(),
            swap_count=self.model.swap_count,
            training=_training(self.run),
            groups={arm: Group(measured.arms[arm].total_impressions, rates[arm]) for arm in ARMS},
            lift=lift(rates[PERSONALISED], rates[CONTROL]),
            failures=dict(measured.failures),
            notices=self.notices[-3:],
        )

    def _model_age_seconds(self) -> float:
        if not self.model.HasField("serving"):
            return math.nan
        created = self.model.serving.create_time.ToDatetime(UTC)
        return (datetime.now(UTC) - created).total_seconds()

    async def _poll_ranking(self) -> None:
        try:
            self.model = await self.client.with_options(POLL_TIMEOUT_SECONDS).get_model_status()
        except FreshetError as error:
            self._failed(error)

    async def _poll_trainer(self) -> None:
        try:
            runs = (await self.client.with_options(POLL_TIMEOUT_SECONDS).list_training_runs(1)).runs
        except FreshetError as error:
            self._failed(error)
        else:
            self.run = runs[0] if runs else None

    def _failed(self, error: FreshetError) -> None:
        self.statistics.failures[f"{error.origin.service} {error.code.name}"] += 1


def _training(run: TrainingRun | None) -> Training | None:
    if run is None:
        return None
    return Training(
        run_id=run.run_id,
        state=TrainingState.Name(run.state).removeprefix("TRAINING_STATE_").lower(),
        step=run.step,
        total_steps=run.total_steps,
        loss=run.loss,
        examples_per_second=run.examples_per_second,
        eta_seconds=run.eta_seconds,
        outcome=run.error or run.decision.reason,
    )
