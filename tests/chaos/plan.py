"""Which process is killed or paused when: made of a seed alone, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

SERVICES = ("ingestion", "feature", "ranking")
TARGETS = (*SERVICES, "nats", "postgres")
PAUSED = (*SERVICES, *("nats", "postgres") * 4)
"""Who is paused; brokers more often, because a frozen one still holds its connections."""
PAUSES_PER_KILL = 0.35
DIES_AGAIN = 0.2
"""The share of kills that are followed by another one while the process starts."""
LONGEST_GAP_SECONDS = 8.0
SHARE_FOR_GAPS = 0.7
"""The share of the time that may pass between faults; the rest is for what is down to come back."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. gap_seconds: from the start of the one before. away_seconds: until it is started again, or until it
    goes on. dies_again_seconds: from its start to a second kill; 0 for none."""

    kind: Literal["kill", "pause"]
    target: str
    gap_seconds: float
    away_seconds: float
    dies_again_seconds: float = 0.0


def make_plan(seed: int, kills: int, seconds: float) -> list[Fault]:
    """Faults with at least `kills` kills, every process about as often, that fit into `seconds`."""
    random = Random(f"plan {seed}")
    targets = _in_turns(random)
    mean = min(LONGEST_GAP_SECONDS / 2, SHARE_FOR_GAPS * seconds / (kills * (1 + PAUSES_PER_KILL)))
    faults: list[Fault] = []
    while kills > 0:
        if random.random() < PAUSES_PER_KILL / (1 + PAUSES_PER_KILL):
            faults.append(Fault("pause", random.choice(PAUSED), _gap(random, mean), random.uniform(0.5, 6.0)))
            continue
        faults.append(_kill(random, next(targets), mean))
        kills -= 1
    return _fitted(faults, SHARE_FOR_GAPS * seconds)


def _fitted(faults: list[Fault], seconds: float) -> list[Fault]:
    """The same faults, closer together where chance has them last longer."""
    pace = min(1.0, seconds / sum(fault.gap_seconds for fault in faults))
    return [replace(fault, gap_seconds=pace * fault.gap_seconds) for fault in faults]


def _in_turns(random: Random) -> Iterator[str]:
    """Every target once, in random order, again and again."""
    while True:
        yield from random.sample(TARGETS, len(TARGETS))


def _kill(random: Random, target: str, mean: float) -> Fault:
    again = random.uniform(0.05, 1.5) if random.random() < DIES_AGAIN else 0.0
    return Fault("kill", target, _gap(random, mean), random.uniform(0.05, 2.5), again)


def _gap(random: Random, mean: float) -> float:
    return min(random.expovariate(1 / mean), 2 * mean)
