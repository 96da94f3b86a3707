"""What the process that judges does: read, let everybody learn and answer, and draw up the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from services.trainer.model.answering.evaluation import CaseOptions, HoldOut, leave_one_out
from services.trainer.model.contest.contestant_names import encoders_named
from services.trainer.model.contest.contestants import baselines, encoder_config, encoders
from services.trainer.model.fitting.plan import OnProgress, Progress, TrainingPlan
from services.trainer.model.protocols.held_out import LEAVE_ONE_OUT, TEMPORAL, Cut, judge_held_out, temporal
from services.trainer.model.protocols.outcome import Contestant, OnAsked, Outcome
from services.trainer.model.protocols.prequential import (
    PREQUENTIAL,
    PrequentialOptions,
    in_random_order_of_ties,
    prequential,
)
from services.trainer.model.protocols.scoreboard import Scoreboard, scoreboard
from services.trainer.model.protocols.segments import MEANING
from services.trainer.processes.evaluation_jobs import DataJob, Judged, Went
from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset
from shared.domain.events.event_columns import EventColumns

PROTOCOLS = (LEAVE_ONE_OUT, TEMPORAL, PREQUENTIAL)
_REPORT_SECONDS = 0.25
EVERYBODY = 1 << 60
"""More users than there are."""
_CONTINUATIONS = 10
Tell = Callable[[Went], None]


class NothingToJudge(ValueError):
    """There is no question to ask; the message is a sentence."""


def judge_data(job: DataJob, tell: Tell) -> Judged:
    """Trains and judges on a data set. Raises NothingToJudge, UnknownContestant, TrainingError."""
    columns = read_columns(Path(job.columns_file))
    # Leave-one-out keeps the file's order within a second, so that it asks what the live system is asked.
    if job.protocol != LEAVE_ONE_OUT:
        columns = in_random_order_of_ties(columns, job.seed)
    outcome = _DataJudge(job, tell).outcome(columns)
    board = scoreboard(asked(outcome), seed=job.seed)
    if job.plots:
        _draw(board, Path(job.plots))
    return Judged(document(board))


def read_columns(file: Path) -> EventColumns:
    """The columns that were written to a file."""
    with np.load(file) as columns:
        return EventColumns(**columns)


def document(board: Scoreboard) -> dict[str, Any]:
    """The scoreboard as JSON holds it, with the meaning of the segments."""
    return {**asdict(board), "segment_meanings": MEANING}


def asked(outcome: Outcome) -> Outcome:
    """The outcome. Raises NothingToJudge for one without questions."""
    _check_asked(len(outcome.user_keys))
    return outcome


def _check_asked(questions: int) -> None:
    if not questions:
        raise NothingToJudge(
            "no event is left to be asked for: none is later than what was learned, or all are of types that the "
            "domain does not predict, or about items that their user had seen"
        )


def _draw(board: Scoreboard, directory: Path) -> None:
    from services.trainer.judging.plots import draw  # matplotlib takes a second to load

    draw(board, directory)


class _DataJudge:
    """A data job, carried out."""

    def __init__(self, job: DataJob, tell: Tell) -> None:
        self._job, self._tell = job, tell
        self._roles = roles_of(load_preset(job.domain))
        self._options = CaseOptions(self._roles, job.history_length, EVERYBODY, True, job.seed)

    def outcome(self, columns: EventColumns) -> Outcome:
        on_asked = telling_asked(self._tell)
        if self._job.protocol == PREQUENTIAL:
            return self._prequential(columns, on_asked)
        contestants = self._contestants(len(columns), 1, 0)
        split = self._split(columns)
        if not len(split.train):
            raise NothingToJudge("no event is left to learn from: all are held out")
        _check_asked(len(split.cases))  # before anybody learns for minutes
        return judge_held_out(self._job.protocol, split, contestants, self._options, on_asked)

    def _prequential(self, columns: EventColumns, on_asked: OnAsked) -> Outcome:
        job = self._job
        warm_up = job.warm_up_events or len(columns) // 2
        if not 0 < warm_up < len(columns):
            raise NothingToJudge(
                f"--warm-up {warm_up}: the data set has {len(columns):,} events; some are to be learned before the "
                "first question, and some to be asked for"
            )
        rest = len(columns) - warm_up
        every = job.continue_every or max(rest // _CONTINUATIONS, 1)
        way = PrequentialOptions(warm_up, job.learn_every, self._options)
        contestants = self._contestants(warm_up, every, rest // every)
        return prequential(columns, contestants, way, on_asked)

    def _split(self, columns: EventColumns) -> HoldOut:
        job = self._job
        if job.protocol == LEAVE_ONE_OUT:
            return leave_one_out(columns, self._options)
        return temporal(columns, Cut(job.cut_time_ms, job.held_out_share), self._options)

    def _contestants(self, n_events: int, continue_every: int, continuations: int) -> list[Contestant]:
        """n_events: of the first lesson."""
        names = encoders_named(self._job.encoders)
        plans = {name: self._plan(name, n_events, continuations) for name in names}
        return [*baselines(self._roles, continue_every), *encoders(plans, continue_every, self._telling)]

    def _plan(self, name: str, n_events: int, continuations: int) -> TrainingPlan:
        """Of the time allowed, every continuation gets its share, for what is judged and for the rest."""
        job = self._job
        shape = encoder_config(name, job.preset).suited(n_events)
        plan = TrainingPlan(encoder=shape, roles=self._roles, seed=job.seed)
        plan = replace(plan, window=job.history_length, threads=job.threads)
        return plan.within(job.minutes, continuations)

    def _telling(self, name: str) -> OnProgress:
        tell = _seldom(self._tell)

        def on_progress(progress: Progress) -> None:
            detail = f"loss {progress.loss:.4f}  {progress.eta_seconds:,.0f} s to go"
            tell(Went(f"{name}: training", progress.step, progress.total_steps, detail))

        return on_progress


def telling_asked(tell: Tell) -> OnAsked:
    """Tells of questions that were answered."""
    seldom = _seldom(tell)
    return lambda name, done, total: seldom(Went(f"{name}: answering", done, total))


def _seldom(tell: Tell) -> Tell:
    """Passes reports on, at most four times a second, the last of a stage always."""
    last = 0.0

    def told(report: Went) -> None:
        nonlocal last
        now = time.monotonic()
        if report.done >= report.total or now - last >= _REPORT_SECONDS:
            last = now
            tell(report)

    return told
