"""What the process that judges does for a registered model: it beside the baselines, on traffic it has not learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from services.trainer.judging.champion import champion_scorer
from services.trainer.judging.evaluating import EVERYBODY, Tell, asked, document, telling_asked
from services.trainer.model.answering.evaluation import CaseOptions, HoldOut, leave_one_out, make_cases
from services.trainer.model.contest.contestants import baselines
from services.trainer.model.mixing.learners import Unchanging
from services.trainer.model.protocols.held_out import LEAVE_ONE_OUT, judge_held_out
from services.trainer.model.protocols.outcome import Contestant, OnAsked, Outcome
from services.trainer.model.protocols.prequential import PREQUENTIAL, PrequentialOptions, prequential
from services.trainer.model.protocols.scoreboard import scoreboard
from services.trainer.processes.evaluation_jobs import Judged, ModelJob
from services.trainer.reading.exposure_reading import kept_exposures
from services.trainer.reading.hold_out import Askable, askable
from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset
from shared.domain.events.event_columns import EventColumns


def judge_model(columns: EventColumns, job: ModelJob, tell: Tell) -> Judged:
    """Judges a registered model on the log. Raises NothingToJudge, CorruptBundleError, OSError."""
    options = CaseOptions(roles_of(load_preset(job.domain)), job.history_length, EVERYBODY, True, job.seed)
    later = columns.position > job.learned_to
    rows = askable(columns, later, options.roles, kept_exposures(Path(job.directory)), job.min_users)
    outcome = asked(_Judge(columns, job, options).outcome(rows, telling_asked(tell)))
    board = scoreboard(outcome, seed=job.seed)
    told = replace(board, prompted_events=rows.prompted_events, prompted_asked=rows.prompted_asked)
    return Judged(document(told))


class _Judge:
    """A job on the columns of a log, N rows."""

    def __init__(self, columns: EventColumns, job: ModelJob, options: CaseOptions) -> None:
        self._columns, self._job, self._options = columns, job, options
        self._learned = int(np.searchsorted(columns.position, job.learned_to, side="right"))

    def outcome(self, rows: Askable, on_asked: OnAsked) -> Outcome:
        job, options = self._job, self._options
        scorer = Unchanging(champion_scorer(Path(job.bundle), job.threads))
        contestants = [*baselines(options.roles), Contestant(job.model_version, lambda: scorer)]
        if job.protocol == PREQUENTIAL:
            way = PrequentialOptions(self._learned, case=options)
            return prequential(self._columns, contestants, way, on_asked, rows.rows)
        return judge_held_out(job.protocol, self._split(rows.rows), contestants, options, on_asked)

    def _split(self, rows: np.ndarray) -> HoldOut:
        columns, options, learned = self._columns, self._options, self._learned
        if self._job.protocol == LEAVE_ONE_OUT:
            return leave_one_out(columns, options, self._job.learned_to, rows)
        before, later = columns.take(slice(0, learned)), columns.take(slice(learned, None))
        return HoldOut(before, later, make_cases(before, later, options, rows[learned:]))
