"""What the triggers make of the drift that was measured last."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace

import pytest

from freshet.trainer.v1.trainer_pb2 import TRAINING_TRIGGER_DRIFT, TrainingRun, TrainingTrigger
from services.trainer.policies.schedule import Policy
from services.trainer.runs.drift_watch import FoundDrift
from services.trainer.runs.triggers import Triggers
from shared.domain.metrics.drift import Drift

FOUND = FoundDrift("old champion", Drift(items=1.0, event_types=0.0, history_lengths=0.0, new_share=0.5))
POLICY = Policy(interval_seconds=0.0, every_events=0, retry_seconds=0.0, drift_psi=0.25, drift_events=10)


@dataclass
class World:
    """Runs, archive and registry in one."""

    champion_version: str
    running: bool = False
    recovered: bool = True
    started: list[TrainingTrigger] = field(default_factory=list)

    async def last(self, by: datetime) -> TrainingRun | None:
        return None

    async def start(self, trigger: TrainingTrigger) -> None:
        self.started.append(trigger)

    async def position(self) -> int:
        return 100

    async def count_after(self, position: int, to_position: int | None = None) -> int:
        return 100

    async def learned_to(self) -> int:
        return 0

    async def champion(self) -> SimpleNamespace:
        return SimpleNamespace(model_version=self.champion_version)


@pytest.mark.parametrize(
    ("champion", "started"), [("old champion", [TRAINING_TRIGGER_DRIFT]), ("new champion", [])]
)
async def test_drift_of_a_champion_that_is_none_any_more_starts_no_run(champion, started):
    world = World(champion)
    await Triggers(world, world, world, POLICY, SimpleNamespace(found=FOUND)).check()
    assert world.started == started
