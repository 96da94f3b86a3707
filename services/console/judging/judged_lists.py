"""Judging lists of recommendations by the item that each user took next. Pure."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.console.datasets.dataset import Interaction
from shared.domain.metrics.ranking_metrics import (
    PairedDifference,
    coverage,
    hit_gains,
    hit_rate,
    lead_words,
    mrr,
    mrr_gains,
    ndcg,
    ndcg_gains,
    paired_bootstrap,
    untied,
)

PAGE_SIZE = 10
Lists = Mapping[str, Sequence[str]]
Interval = tuple[float, float]
UNKNOWN = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good lists of ten are. All in [0, 1], higher is better. Intervals: of 95 %, drawn over users; coverage has
    none, as it is no mean over users."""

    ndcg_at_10: float
    hit_rate_at_10: float
    mrr_at_10: float
    coverage_at_10: float
    ndcg_at_10_interval: Interval = UNKNOWN
    hit_rate_at_10_interval: Interval = UNKNOWN
    mrr_at_10_interval: Interval = UNKNOWN


def judge(lists: Lists, held_out: Mapping[str, Interaction], catalogue: Iterable[str]) -> Metrics:
    """The metrics of one list for each user of `held_out`, by where the held-out item stands in it."""
    number_of = {item: number for number, item in enumerate(catalogue)}
    ranks = _ranks(lists, held_out)
    top = np.full((len(held_out), PAGE_SIZE), -1)
    for row, user in enumerate(held_out):
        numbers = [number_of.get(item, -1) for item in lists[user][:PAGE_SIZE]]
        top[row, : len(numbers)] = numbers
    return Metrics(
        ndcg(ranks, PAGE_SIZE),
        hit_rate(ranks, PAGE_SIZE),
        mrr(ranks, PAGE_SIZE),
        coverage(top, len(number_of)),
        *(_interval(gains(ranks, PAGE_SIZE)) for gains in (ndcg_gains, hit_gains, mrr_gains)),
    )


def lead(better: Lists, worse: Lists, held_out: Mapping[str, Interaction]) -> PairedDifference:
    """How much higher the NDCG of some lists is than that of others for the same users, with its 95 % interval."""
    ranks, others = _ranks(better, held_out), _ranks(worse, held_out)
    return paired_bootstrap(ndcg_gains(ranks, PAGE_SIZE), ndcg_gains(others, PAGE_SIZE))


def verdict(by: PairedDifference) -> str:
    """Whether a model is better than the most popular items, in a sentence."""
    words = lead_words(by.low, by.high, by.n_users)
    return f"the model {words} the most popular items: NDCG@10 {by.mean:+.4f} [{by.low:+.4f}, {by.high:+.4f}]"


def _ranks(lists: Lists, held_out: Mapping[str, Interaction]) -> np.ndarray:
    return untied(np.array([rank(lists[user], held_out[user].item) for user in held_out], np.int64))


def _interval(gains: np.ndarray) -> Interval:
    drawn = paired_bootstrap(gains, np.zeros_like(gains))
    return drawn.low, drawn.high


def rank(items: Sequence[str], wanted: str) -> int:
    """The place of an item, from 1; one beyond the list if it is not there."""
    return items.index(wanted) + 1 if wanted in items else max(len(items), PAGE_SIZE) + 1


def popular_lists(
    kept: Sequence[Interaction], users: Iterable[str], wanted: Container[str], consuming: Container[str]
) -> dict[str, list[str]]:
    """For each user the ten items with the most events that are worth predicting, as the trainer counts them, without
    those the user has consumed, as the system leaves them out. wanted, consuming: as for `worth_asking`."""
    counts = Counter(row.item for row in kept if row.event_type in wanted)
    by_popularity = sorted({row.item for row in kept}, key=lambda item: (-counts[item], item))
    had = _had(kept, consuming)
    return {user: _first_unseen(by_popularity, had.get(user, set())) for user in users}


def worth_asking(
    held_out: Mapping[str, Interaction],
    kept: Iterable[Interaction],
    wanted: Container[str],
    consuming: Container[str],
) -> dict[str, Interaction]:
    """Of what is kept back, what a good answer holds: events of the types `wanted`, about items that their user has not
    consumed before. consuming: types of events after which a user has had the item."""
    had = _had(kept, consuming)
    return {
        user: row
        for user, row in held_out.items()
        if row.event_type in wanted and row.item not in had.get(user, set())
    }


def _had(rows: Iterable[Interaction], consuming: Container[str]) -> dict[str, set[str]]:
    """By user, the items of events after which a user has had the item."""
    had: dict[str, set[str]] = {}
    for row in rows:
        if row.event_type in consuming:
            had.setdefault(row.user, set()).add(row.item)
    return had


def _first_unseen(by_popularity: Sequence[str], had: set[str]) -> list[str]:
    unseen = (item for item in by_popularity if item not in had)
    return [item for item, _ in zip(unseen, range(PAGE_SIZE), strict=False)]
