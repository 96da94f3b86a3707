"""What a protocol gives: who was asked, and what each contestant answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from services.trainer.model.answering.answers import Answers
from services.trainer.model.mixing.learners import Learner

CONTINUAL, FROZEN, STALE = "continual", "frozen", "stale"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One that is judged.

    Attributes:
        name: as the table shows it.
        make: a learner that has learned nothing, or one that is `Unchanging`.
        baseline: whether it is one that models must beat.
    """

    name: str
    make: Callable[[], Learner]
    baseline: bool = False


@dataclass(slots=True)
class Entry:
    """One contestant's answers.

    Attributes:
        contestant: whose.
        answers: by mode; hold-outs have one, named "".
        learning_seconds: spent learning.
        answering_seconds: spent answering.
    """

    contestant: Contestant
    answers: dict[str, Answers] = field(default_factory=dict)
    learning_seconds: float = 0.0
    answering_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everybody's answers to the same questions.

    Attributes:
        protocol: its name.
        user_keys: ``(Q,) uint64``, who was asked.
        segments: ``(Q,) bool`` by name.
        catalogue_items: how many items could be recommended.
        learned_events: rows that were learned before the first question.
        entries: in the order of the table.
    """

    protocol: str
    user_keys: np.ndarray
    segments: Mapping[str, np.ndarray]
    catalogue_items: int
    learned_events: int
    entries: list[Entry]


OnAsked = Callable[[str, int, int], None]
"""Told of a contestant's name, the questions it has answered, and how many there are."""


def ignore_asked(_: str, __: int, ___: int) -> None:
    """Tells nobody."""
