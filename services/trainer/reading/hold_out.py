"""Test-then-learn: which events judge a candidate before it learns them.

Decision: one cut. A candidate learns what is before it; it and the champion are judged on what is behind
it. The cut lies at the newest share of the log, or where the champion's learning ended if that is later: so
both are judged on traffic later than the training of both. The candidate may have learned what came after
the champion's end: kept from that, the two would know the same events, and the comparison could not tell what
the newer events are worth.

Decision: what a recommendation may have prompted asks for nothing while other events do; see `prompting`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from services.trainer.model.answering.answers import Cases
from services.trainer.model.answering.evaluation import CaseOptions, HoldOut, make_cases
from services.trainer.model.sequences import EventRoles, has_type
from services.trainer.reading.prompting import NOTHING_SERVED, Served, prompted
from shared.domain.events.event_columns import EventColumns

LARGEST_SHARE = 0.2
"""How far the share grows while it holds too few users for a verdict."""
JUDGED_SCORES = 400_000_000
"""Of all questions together, which take a model about twenty seconds. To ask 20,000 users about 120,000 items took
minutes, of the five of a run, and left no time to learn what is newest."""


class HoldOutRule(NamedTuple):
    """share: newest share of the rows, in (0, 1). most_rows: its cap. min_users: users a verdict needs.

    later_than: position of the log up to which the champion has learned; 0 without one.
    """

    share: float
    most_rows: int
    min_users: int
    later_than: int = 0


class Questions(NamedTuple):
    """What is asked of whoever is judged. prompted_events: how many events were left out because a recommendation may
    have prompted them. prompted_asked: whether these are asked for after all, as there is too little else."""

    cases: Cases
    prompted_events: int = 0
    prompted_asked: bool = False


def hold_out(
    columns: EventColumns, rule: HoldOutRule, options: CaseOptions, served: Served = NOTHING_SERVED
) -> HoldOut:
    """What to learn first, what judges, and the questions; the share is doubled while these are of too few
    users. Of a large catalogue fewer users are asked, but as many as a verdict needs."""
    affordable = JUDGED_SCORES // max(len(np.unique(columns.item_key)), 1)
    options = replace(options, max_users=max(min(options.max_users, affordable), rule.min_users))
    share = rule.share
    while True:
        start = _first_held_row(columns.position, share, rule)
        before, later = columns.take(slice(0, start)), columns.take(slice(start, None))
        of_their_own = _unprompted(before, later, options, served)
        enough = len(of_their_own.cases) >= rule.min_users
        if enough or share >= LARGEST_SHARE:
            asked = of_their_own if enough else _all_asked(before, later, of_their_own, options)
            return HoldOut(before, later, *asked)
        share = min(2.0 * share, LARGEST_SHARE)


class Askable(NamedTuple):
    """rows: ``(N,) bool``, those that may be asked for. The others as those of `Questions`."""

    rows: np.ndarray
    prompted_events: int
    prompted_asked: bool


def askable(
    columns: EventColumns, later: np.ndarray, roles: EventRoles, served: Served, min_users: int
) -> Askable:
    """Of the rows ``later (N,) bool`` the targets that no recommendation had prompted; where these are of fewer than
    ``min_users`` users, all targets."""
    targets = later & has_type(columns.event_type, roles.target)
    of_answers = targets & prompted(columns, served)
    own = targets & ~of_answers
    too_few = len(np.unique(columns.user_key[own])) < min_users and bool(of_answers.any())
    return Askable(targets if too_few else own, int(of_answers.sum()), too_few)


def questions(
    before: EventColumns, later: EventColumns, options: CaseOptions, served: Served, min_users: int
) -> Questions:
    """Each user's next item in ``later`` that no recommendation had prompted; where that is known of fewer than
    ``min_users`` users, the next item whatever had prompted it."""
    asked = _unprompted(before, later, options, served)
    return asked if len(asked.cases) >= min_users else _all_asked(before, later, asked, options)


def _unprompted(before: EventColumns, later: EventColumns, options: CaseOptions, served: Served) -> Questions:
    of_answers = prompted(later, served)
    cases = make_cases(before, later, options, askable=~of_answers)
    return Questions(cases, int((of_answers & has_type(later.event_type, options.roles.target)).sum()))


def _all_asked(
    before: EventColumns, later: EventColumns, asked: Questions, options: CaseOptions
) -> Questions:
    if not asked.prompted_events:
        return asked
    return Questions(make_cases(before, later, options), asked.prompted_events, True)


def _first_held_row(position: np.ndarray, share: float, rule: HoldOutRule) -> int:
    """The rows of one event stay together."""
    start = len(position) - min(int(len(position) * share), rule.most_rows)
    if start < len(position):
        start = int(np.searchsorted(position, position[start], side="left"))
    return max(start, int(np.searchsorted(position, rule.later_than, side="right")))
