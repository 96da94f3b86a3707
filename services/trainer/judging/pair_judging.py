"""What the process that judges does for a possible rollback: both models, asked the same questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from services.trainer.judging.champion import champion_scorer
from services.trainer.model.answering.evaluation import CaseOptions, compare, judge
from services.trainer.policies.regression import Comparison
from services.trainer.processes.evaluation_jobs import Judged, PairJob
from services.trainer.reading.exposure_reading import kept_exposures
from services.trainer.reading.hold_out import questions
from services.trainer.roles import roles_of
from shared.adapters.presets import load_preset
from shared.domain.events.event_columns import EventColumns

_K = 10
_CHAMPION, _PREDECESSOR = "champion", "predecessor"


def judge_pair(columns: EventColumns, job: PairJob) -> Judged:
    """Both models' answers to each user's next event that is later than the training of both, as the gate asks.
    The document is a `Comparison`. Raises CorruptBundleError, OSError."""
    learned = int(np.searchsorted(columns.position, job.learned_to, side="right"))
    before, later = columns.take(slice(0, learned)), columns.take(slice(learned, None))
    options = CaseOptions(roles_of(load_preset(job.domain)), job.history_length, seed=job.seed)
    asked = questions(before, later, options, kept_exposures(Path(job.directory)), job.min_users)
    cases = asked.cases
    comparison = Comparison(
        len(cases),
        job.champion_version,
        job.predecessor_version,
        prompted_events=asked.prompted_events,
        prompted_asked=asked.prompted_asked,
    )
    if not len(cases):
        return Judged(comparison._asdict())
    bundles = {_CHAMPION: job.champion_bundle, _PREDECESSOR: job.predecessor_bundle}
    scorers = {name: champion_scorer(Path(file), job.threads) for name, file in bundles.items()}
    found = judge(cases, scorers, _K)
    difference = compare(found[_CHAMPION], found[_PREDECESSOR])
    comparison = comparison._replace(
        champion=found[_CHAMPION].ndcg,
        predecessor=found[_PREDECESSOR].ndcg,
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
    )
    return Judged(comparison._asdict())
