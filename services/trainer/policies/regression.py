"""Whether a champion is rolled back, from how it and its predecessor did on traffic later than the training of both."""

from __future__ import annotations

from typing import NamedTuple

from services.trainer.policies.gate import prompted_clause

LOOK_AGAIN = 1.25
"""So many times the traffic of the last look is awaited before the next. Decision: an interval that is looked at after
every event lies below 0 sooner or later by chance alone; looks at a growing log are few, and their number grows with
its logarithm only."""


class Comparison(NamedTuple):
    """How a champion and its predecessor answered the same users, NDCG@10 throughout.

    users: how many. difference: mean of champion - predecessor, from low to high with 95 % confidence (paired
    bootstrap). prompted_*: as of `Evidence`.
    """

    users: int
    champion_version: str
    predecessor_version: str
    champion: float = 0.0
    predecessor: float = 0.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    prompted_events: int = 0
    prompted_asked: bool = False


class Verdict(NamedTuple):
    """Whether the champion is rolled back, and why or why not: a sentence with the numbers."""

    rolled_back: bool
    reason: str


def judge_regression(comparison: Comparison, min_users: int) -> Verdict:
    """A champion whose interval lies wholly below 0 is rolled back.

    The burden of proof lies with who would displace the champion, as it did when the champion was promoted: what could
    be chance changes nothing. min_users: with fewer judged users there is no verdict, and the champion stays.
    """
    if comparison.users < min_users:
        return Verdict(
            False,
            f"too little traffic later than both models' training to judge by: {comparison.users} users, "
            f"{min_users} are needed",
        )
    worse = comparison.high < 0.0
    verdict = "worse" if worse else "better" if comparison.low > 0.0 else "not clearly worse"
    return Verdict(
        worse,
        f"champion {comparison.champion_version} does {verdict} online than its predecessor "
        f"{comparison.predecessor_version}: NDCG@10 {comparison.champion:.4f} against "
        f"{comparison.predecessor:.4f} on {comparison.users:,} users, difference {comparison.difference:+.4f}, "
        f"95 % interval {comparison.low:+.4f} to {comparison.high:+.4f}"
        f"{prompted_clause(comparison.prompted_events, comparison.prompted_asked)}",
    )


def look_is_due(later_events: int, looked_at: int, min_users: int) -> bool:
    """Whether there is traffic enough for a look. later_events: later than both models' training. looked_at: of the
    last look at the same two models; 0 before the first. Every user to judge by has at least one event."""
    return later_events >= max(min_users, LOOK_AGAIN * looked_at)
