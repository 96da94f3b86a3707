"""How a candidate stands beside every baseline and the champion, each figure with its interval, for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.trainer.model.answering.evaluation import Cases, HoldOut, Judgement, judge
from services.trainer.model.mixing.learners import BASELINES
from services.trainer.model.protocols.intervals import Estimate, UserBootstrap
from services.trainer.model.sequences import EventRoles
from shared.domain.metrics.ranking_metrics import hit_gains, mrr_gains, ndcg_gains

CONFIDENCE = 0.95
EASE_UP_TO = 5_000
"""Items. Decision: EASE inverts a matrix of items by items; above, that would cost a run more than it tells, and
`EvaluateModel` still compares with it."""
_MORE_BASELINES = ("rules", "ease")


class Row(NamedTuple):
    """One who answered: NDCG, hit rate and MRR at the list's length. lead: the candidate's NDCG minus this one's, user
    by user; None for the candidate itself."""

    name: str
    baseline: bool
    ndcg: Estimate
    hit_rate: Estimate
    mrr: Estimate
    lead: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Standings:
    """The candidate first, then baselines and the champion. users: judged by. k: length of the lists. left_out:
    baselines that were not asked, and why."""

    users: int
    k: int
    rows: tuple[Row, ...] = ()
    left_out: tuple[str, ...] = ()


def standings(held: HoldOut, judged: Mapping[str, Judgement], roles: EventRoles, k: int = 10) -> Standings:
    """Beside those that the gate has judged, the other baselines, on the same questions.

    Args:
        held: what was learned before, and the questions.
        judged: by name; the candidate first, those whose name `BASELINES` knows are baselines.
        roles: what events mean.
        k: length of the lists.
    """
    if not judged:
        return Standings(len(held.cases), k)
    more, left_out = _more_baselines(held, roles, k)
    draw = UserBootstrap(held.cases.user_keys, CONFIDENCE)
    candidate, *others = judged.items()
    rows = [_row(draw, each, candidate) for each in (candidate, *more.items(), *others)]
    ordered = sorted(rows[1:], key=lambda row: (not row.baseline, row.name))
    return Standings(len(held.cases), k, (rows[0], *ordered), left_out)


def _more_baselines(held: HoldOut, roles: EventRoles, k: int) -> tuple[dict[str, Judgement], tuple[str, ...]]:
    found: dict[str, Judgement] = {}
    left_out = []
    items = len(np.unique(held.train.item_key))
    for name in _MORE_BASELINES:
        if name == "ease" and items > EASE_UP_TO:
            left_out.append(f"ease: {items:,} items are more than {EASE_UP_TO:,}")
            continue
        found |= {name: _judged(name, held, held.cases, roles, k)}
    return found, tuple(left_out)


def _judged(name: str, held: HoldOut, cases: Cases, roles: EventRoles, k: int) -> Judgement:
    learner = BASELINES[name](roles)
    learner.learn(held.train)
    return judge(cases, {name: learner.scorer()}, k)[name]


def _row(draw: UserBootstrap, one: tuple[str, Judgement], candidate: tuple[str, Judgement]) -> Row:
    (name, judgement), k = one, one[1].k
    gains = [gain(judgement.ranks, k) for gain in (ndcg_gains, hit_gains, mrr_gains)]
    lead = ndcg_gains(candidate[1].ranks, k) - gains[0]
    ndcg, hit_rate, mrr, difference = draw.means(np.stack([*gains, lead], axis=1))
    return Row(name, name in BASELINES, ndcg, hit_rate, mrr, None if one is candidate else difference)
