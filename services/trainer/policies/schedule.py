"""When a run is due: a function of what has happened since the last one."""

from __future__ import annotations

from typing import NamedTuple

from freshet.trainer.v1.trainer_pb2 import (
    TRAINING_TRIGGER_DRIFT,
    TRAINING_TRIGGER_NEW_EVENTS,
    TRAINING_TRIGGER_SCHEDULE,
    TrainingTrigger,
)

BURST_SHARE = 0.05
"""Of `every_events`: so many events between two looks at the archive are a burst, such as a replay."""
LONGEST_BURST = 4
"""Times `every_events`: with so many new events a run starts although the burst goes on."""


class Policy(NamedTuple):
    """interval_seconds: from one run's start to the next; 0 for none. every_events: so many new events
    start a run; 0 for none. retry_seconds: from the start of a run that failed to the next, and from any to one for
    drift, which would else start over and over while no candidate is promoted. drift_psi: a stability index from which
    on a run starts, 0 for none; drift_events: with so many new events at least."""

    interval_seconds: float
    every_events: int
    retry_seconds: float
    drift_psi: float = 0.0
    drift_events: int = 0


class Situation(NamedTuple):
    """running: whether a run goes on. seconds_since_run: since the last run started, or since the service
    did when there was none. last_failed: whether that run failed. new_events: in the archive, later than
    what the newest model has learned. arriving: how many of them came since the last look. drift_psi: how far they are
    from what the champion learned from; 0 when that is not known."""

    running: bool
    seconds_since_run: float
    last_failed: bool
    new_events: int
    arriving: int = 0
    drift_psi: float = 0.0


def next_trigger(policy: Policy, situation: Situation) -> TrainingTrigger | None:
    """What makes a run due now; None when none is. Without new events none is ever due."""
    if situation.running or situation.new_events == 0:
        return None
    if situation.last_failed and situation.seconds_since_run < policy.retry_seconds:
        return None
    if (
        policy.every_events
        and situation.new_events >= policy.every_events
        and not _in_burst(policy, situation)
    ):
        return TRAINING_TRIGGER_NEW_EVENTS
    if _drifted(policy, situation):
        return TRAINING_TRIGGER_DRIFT
    if policy.interval_seconds and situation.seconds_since_run >= policy.interval_seconds:
        return TRAINING_TRIGGER_SCHEDULE
    return None


def _drifted(policy: Policy, situation: Situation) -> bool:
    return (
        0.0 < policy.drift_psi <= situation.drift_psi
        and situation.new_events >= policy.drift_events
        and situation.seconds_since_run >= policy.retry_seconds
        and not (policy.every_events and _in_burst(policy, situation))
    )


def _in_burst(policy: Policy, situation: Situation) -> bool:
    """Whether events pour in, so that a run begun now would learn from a part of them only."""
    pouring = situation.arriving > BURST_SHARE * policy.every_events
    return pouring and situation.new_events < LONGEST_BURST * policy.every_events
