"""Learn once, then be asked for one next item per user: leave-one-out, or behind a cut in time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.trainer.model.answering.answers import answer
from services.trainer.model.answering.evaluation import CaseOptions, HoldOut, make_cases
from services.trainer.model.protocols.outcome import Contestant, Entry, OnAsked, Outcome, ignore_asked
from services.trainer.model.protocols.segments import segments_of
from services.trainer.model.sequences import has_type
from shared.domain.events.event_columns import EventColumns

LEAVE_ONE_OUT, TEMPORAL = "leave-one-out", "temporal"
LIST_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past ends: at a time, or before the newest share of the events.

    Attributes:
        time_ms: events from then on are held out; None for a cut by share.
        share: newest share of the rows that is held out, in (0, 1); an event's rows stay together.
    """

    time_ms: int | None = None
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"the share that is held out must lie in (0, 1), got {self.share}")

    def held(self, columns: EventColumns) -> np.ndarray:
        """``(N,) bool``: the rows that are held out."""
        if self.time_ms is not None:
            return columns.time_ms >= self.time_ms
        kept = int(round(len(columns) * (1.0 - self.share), 6))  # 10 * (1 - 0.9) is a little less than 1
        start = min(kept, max(len(columns) - 1, 0))
        return columns.position >= columns.position[start] if len(columns) else np.zeros(0, bool)


def temporal(columns: EventColumns, cut: Cut, options: CaseOptions) -> HoldOut:
    """Everything behind the cut is held out; each user's next unseen target there is asked for."""
    held = cut.held(columns)
    before, later = columns.take(~held), columns.take(held)
    return HoldOut(before, later, make_cases(before, later, options))


def judge_held_out(
    protocol: str,
    split: HoldOut,
    contestants: Sequence[Contestant],
    options: CaseOptions,
    on_asked: OnAsked = ignore_asked,
) -> Outcome:
    """All contestants learn what is before and answer one question per user, with lists of `LIST_LENGTH`."""
    entries = []
    for each in contestants:
        entries.append(_entry(split, each))
        on_asked(each.name, len(split.cases), len(split.cases))
    segments = segments_of(*_facts(split, options), options.history_length)
    return Outcome(
        protocol, split.cases.user_keys, segments, len(split.cases.catalogue), len(split.train), entries
    )


def _entry(split: HoldOut, contestant: Contestant) -> Entry:
    entry = Entry(contestant)
    started = time.perf_counter()
    learner = contestant.make()
    learner.learn(split.train)
    scorer = learner.scorer()
    entry.learning_seconds = time.perf_counter() - started
    entry.answers[""] = answer(split.cases, scorer, LIST_LENGTH)
    entry.answering_seconds = time.perf_counter() - started - entry.learning_seconds
    return entry


def _facts(split: HoldOut, options: CaseOptions) -> tuple[np.ndarray, np.ndarray]:
    """Events in each asked user's history, and target events of each asked item, before: ``(U,) int64`` each."""
    roles, before = options.roles, split.train
    histories = before.user_key[has_type(before.event_type, roles.history)]
    targets = before.item_key[has_type(before.event_type, roles.target)]
    return _counts(histories, split.cases.user_keys), _counts(targets, split.cases.targets)


def _counts(occurring: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """``(Q,) int64``: how often each wanted key occurs."""
    ordered = np.sort(occurring)
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")
