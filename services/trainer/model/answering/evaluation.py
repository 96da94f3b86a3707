"""Judging: where does each user's next item stand among all items the user has not seen?

Two ways to hold events out: the newest share of the log (what serving will meet, the gate's question) and
each user's last event (the textbook's question). Every scorer ranks the same users over the same full
catalogue, without sampled negatives (Krichene & Rendle 2020), so two of them can be compared user by user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from services.trainer.model.answering.answers import Answers, Cases, answer
from services.trainer.model.answering.scoring import Histories, Scorer
from services.trainer.model.sequences import EventRoles, UserSequences, by_user, has_type
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.ranking_metrics import (
    PairedDifference,
    coverage,
    hit_rate,
    mrr,
    ndcg,
    ndcg_gains,
    paired_bootstrap,
)

HISTORY_LENGTH = 50


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """How held-out events become questions.

    Attributes:
        roles: which events are read, asked for, and exclude their item.
        history_length: newest events a scorer gets to see, as in serving.
        max_users: at most so many users are asked about, drawn by ``seed``.
        newcomers: whether users without any history are asked about too.
        seed: of that draw.
    """

    roles: EventRoles = field(default_factory=EventRoles)
    history_length: int = HISTORY_LENGTH
    max_users: int = 20_000
    newcomers: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class HoldOut:
    """A split: train on ``train``, answer ``cases``, then learn ``held_out``.

    prompted_events: how many events of it a recommendation may have prompted. prompted_asked: whether they are among
    what is asked for.
    """

    train: EventColumns
    held_out: EventColumns
    cases: Cases
    prompted_events: int = 0
    prompted_asked: bool = False


def leave_one_out(
    columns: EventColumns,
    options: CaseOptions | None = None,
    later_than: int = 0,
    askable: np.ndarray | None = None,
) -> HoldOut:
    """Holds out every user's last event, all its rows, of those that are behind position ``later_than``: a model that
    has learned the log up to there is asked for nothing it has learned. askable: ``(N,) bool``, as `make_cases`."""
    _, from_end, user = np.unique(columns.user_key[::-1], return_index=True, return_inverse=True)
    last = columns.position[len(columns) - 1 - from_end]
    held = (columns.position == last[user[::-1]]) & (columns.position > later_than)
    train, held_out = columns.take(~held), columns.take(held)
    of_held = None if askable is None else askable[held]
    return HoldOut(train, held_out, make_cases(train, held_out, options or CaseOptions(), of_held))


def make_cases(
    train: EventColumns, held_out: EventColumns, options: CaseOptions, askable: np.ndarray | None = None
) -> Cases:
    """One question for every user with a target in ``held_out``, on an item that the user had not seen until then.

    Args:
        train: events before.
        held_out: N events after, in log order.
        options: how questions are made.
        askable: ``(N,) bool``, events that may be asked for; the others are facts all the same. None for all.
    """
    roles = options.roles
    seen = by_user(train.take(has_type(train.event_type, roles.seen)))
    history = by_user(train.take(has_type(train.event_type, roles.history)))
    is_target = has_type(held_out.event_type, roles.target) & ~_seen_meanwhile(held_out, roles)
    asked = held_out.take(is_target if askable is None else is_target & askable)
    asked = asked.take(~_have_seen(seen, asked))
    if not options.newcomers:
        asked = asked.take(np.isin(asked.user_key, history.user_keys))
    users, first = np.unique(asked.user_key, return_index=True)
    if len(users) > options.max_users:
        drawn = np.random.default_rng(options.seed).choice(len(users), options.max_users, replace=False)
        users, first = users[np.sort(drawn)], first[np.sort(drawn)]
    histories = Histories.of(history, users, options.history_length)
    seen_items, seen_offsets = _rows_of(seen, users)
    catalogue = np.union1d(train.item_key, held_out.item_key)
    return Cases(users, histories, asked.item_key[first], seen_items, seen_offsets, catalogue)


def _have_seen(seen: UserSequences, asked: EventColumns) -> np.ndarray:
    """``(N,) bool``: whether the row's user has seen the row's item."""
    pair = np.dtype([("user", np.uint64), ("item", np.uint64)])
    known, questions = np.empty(len(seen.item_keys), pair), np.empty(len(asked), pair)
    known["user"], known["item"] = np.repeat(seen.user_keys, seen.lengths), seen.item_keys
    questions["user"], questions["item"] = asked.user_key, asked.item_key
    return np.isin(questions, known)


def _seen_meanwhile(held_out: EventColumns, roles: EventRoles) -> np.ndarray:
    """``(N,) bool``: whether the row's user has seen the row's item in an earlier event of those held out."""
    pairs, position = held_out.pairs(), held_out.position
    sees = has_type(held_out.event_type, roles.seen)
    first = np.full(len(held_out), np.iinfo(np.int64).max)  # by pair
    np.minimum.at(first, pairs[sees], position[sees])
    return first[pairs] < position


def _rows_of(users: UserSequences, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items and offsets of the wanted users; none for users that do not occur."""
    keep = np.isin(np.repeat(users.user_keys, users.lengths), wanted)
    counts = np.zeros(len(wanted), np.int64)
    present = np.isin(wanted, users.user_keys)
    counts[present] = users.lengths[np.searchsorted(users.user_keys, wanted[present])]
    return users.item_keys[keep], np.append(0, np.cumsum(counts))


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How one scorer did.

    Attributes:
        ndcg: NDCG@k.
        hit_rate: HR@k.
        mrr: MRR@k.
        coverage: coverage@k.
        k: cut-off.
        ranks: ``(U, 2) int64``, first and last rank that each user's target could have among the items that user had
            not seen, 1 is best.
        top: ``(U, k) int64``, each user's list, as indices of the catalogue; -1 marks an empty place.
    """

    ndcg: float
    hit_rate: float
    mrr: float
    coverage: float
    k: int
    ranks: np.ndarray
    top: np.ndarray

    @property
    def n_users(self) -> int:
        """Users judged."""
        return len(self.ranks)


def judge(cases: Cases, scorers: Mapping[str, Scorer], k: int = 10) -> dict[str, Judgement]:
    """Every scorer's answers to the same questions.

    An item that a scorer does not know counts as its worst; a target it does not know ranks last. Those that tie
    gain what they would on average in any order, so that a constant scorer gains nothing from the order of keys.

    Args:
        cases: the questions.
        scorers: by name.
        k: cut-off, >= 1.

    Raises:
        ValueError: a scorer gave NaN.
    """
    return {
        name: judgement(answer(cases, scorer, k), len(cases.catalogue), k) for name, scorer in scorers.items()
    }


def judgement(answers: Answers, catalogue_size: int, k: int) -> Judgement:
    """The metrics of one scorer's answers."""
    ranks, top = answers.ranks, answers.top
    covered = coverage(top, catalogue_size)
    return Judgement(ndcg(ranks, k), hit_rate(ranks, k), mrr(ranks, k), covered, k, ranks, top)


def compare(candidate: Judgement, champion: Judgement, confidence: float = 0.95) -> PairedDifference:
    """Difference in NDCG@k, user by user, with its bootstrap interval; both have answered the same cases."""
    k = champion.k
    return paired_bootstrap(ndcg_gains(candidate.ranks, k), ndcg_gains(champion.ranks, k), confidence)
