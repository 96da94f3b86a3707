"""Judging lists of recommendations by the item that each user took next. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.console.dataset import Interaction
from shared.domain.ranking_metrics import coverage, hit_rate, mrr, ndcg

PAGE_SIZE = 10
Lists = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good lists of ten are. All in [0, 1], higher is better."""

    ndcg_at_10: float
    hit_rate_at_10: float
    mrr_at_10: float
    coverage_at_10: float


def judge(lists: Lists, held_out: Mapping[str, Interaction], catalogue: Iterable[str]) -> Metrics:
    """The metrics of one list for each user of `held_out`, by where the held-out item stands in it."""
    number_of = {item: number for number, item in enumerate(catalogue)}
    ranks = np.array([rank(lists[user], held_out[user].item) for user in held_out])
    top = np.full((len(held_out), PAGE_SIZE), -1)
    for row, user in enumerate(held_out):
        numbers = [number_of.get(item, -1) for item in lists[user][:PAGE_SIZE]]
        top[row, : len(numbers)] = numbers
    return Metrics(
        ndcg(ranks, PAGE_SIZE),
        hit_rate(ranks, PAGE_SIZE),
        mrr(ranks, PAGE_SIZE),
        coverage(top, len(number_of)),
    )


def rank(items: Sequence[str], wanted: str) -> int:
    """The place of an item, from 1; one beyond the list if it is not there."""
    return items.index(wanted) + 1 if wanted in items else max(len(items), PAGE_SIZE) + 1


def popular_lists(kept: Sequence[Interaction], users: Iterable[str]) -> dict[str, list[str]]:
    """For each user the ten items with the most interactions, without those the user had already."""
    counts = Counter(row.item for row in kept)
    by_popularity = sorted(counts, key=lambda item: (-counts[item], item))
    had: dict[str, set[str]] = {}
    for row in kept:
        had.setdefault(row.user, set()).add(row.item)
    return {user: _first_unseen(by_popularity, had.get(user, set())) for user in users}


def _first_unseen(by_popularity: Sequence[str], had: set[str]) -> list[str]:
    unseen = (item for item in by_popularity if item not in had)
    return [item for item, _ in zip(unseen, range(PAGE_SIZE), strict=False)]
