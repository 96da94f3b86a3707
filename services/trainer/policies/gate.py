"""Whether a candidate becomes champion, from how both did on traffic later than the training of both."""

from __future__ import annotations

from typing import NamedTuple


class Evidence(NamedTuple):
    """What is known of a candidate, NDCG@10 throughout, all judged on the same users.

    users: how many. candidate, popular, recent: of the candidate, of the most popular items, and of the
    most popular of late. champion_version: empty when there is no champion that can be read; then `champion`
    means nothing. difference: mean of candidate - champion, or of candidate - popular when there is no
    champion, from low to high with 95 % confidence (paired bootstrap). champion_unreadable: why the champion
    could not be judged although there is one. prompted_events: how many events were not asked for because a
    recommendation may have prompted them; prompted_asked: whether they were, for want of others.
    """

    users: int
    candidate: float = 0.0
    popular: float = 0.0
    recent: float = 0.0
    champion_version: str = ""
    champion: float = 0.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    champion_unreadable: str = ""
    prompted_events: int = 0
    prompted_asked: bool = False


class Decision(NamedTuple):
    """Whether the candidate becomes champion, and why: a sentence with the numbers."""

    promoted: bool
    reason: str


def decide(evidence: Evidence, min_users: int) -> Decision:
    """A first model must not be worse than the most popular items, its interval not wholly below 0; a later one
    must be better than the champion, its interval wholly above 0.

    The burden of proof lies with who would displace a working model; a first one displaces none, and a few dozen
    users of a young log could prove nothing either way. min_users: with fewer judged users there is no verdict, and
    the candidate is not promoted.
    """
    if evidence.users < min_users:
        return Decision(False, _too_few(evidence, min_users))
    if evidence.champion_version:
        return _against_champion(evidence)
    return _against_popular(evidence)


def _too_few(evidence: Evidence, min_users: int) -> str:
    later = "later than its training" if not evidence.champion_version else "later than both models' training"
    return f"too little traffic {later} to judge by: {evidence.users} users, {min_users} are needed"


def _against_popular(evidence: Evidence) -> Decision:
    worse = evidence.high < 0.0
    verdict = "worse" if worse else "better" if evidence.low > 0.0 else "not worse for certain"
    cause = "a first model"
    if evidence.champion_unreadable:
        cause = f"the champion cannot be read ({evidence.champion_unreadable}), so it is a first model"
    return Decision(
        not worse,
        f"{cause}, {verdict} than most popular: NDCG@10 {evidence.candidate:.4f} against "
        f"{evidence.popular:.4f} on {evidence.users:,} users, {_interval(evidence)}; "
        f"most popular of late has {evidence.recent:.4f}{_prompted(evidence)}",
    )


def _prompted(evidence: Evidence) -> str:
    return prompted_clause(evidence.prompted_events, evidence.prompted_asked)


def prompted_clause(events: int, asked: bool) -> str:
    """What became of events that a recommendation may have prompted, as the end of a sentence; empty for none."""
    if not events:
        return ""
    if asked:
        return (
            f"; that includes {events:,} events that a recommendation may have prompted, which favours the model "
            "that gave it, as there are too few others"
        )
    return f"; {events:,} events that a recommendation may have prompted are not asked for"


def _interval(evidence: Evidence) -> str:
    return f"difference {evidence.difference:+.4f}, 95 % interval {evidence.low:+.4f} to {evidence.high:+.4f}"


def _against_champion(evidence: Evidence) -> Decision:
    better = evidence.low > 0.0
    verdict = "better" if better else "worse" if evidence.high < 0.0 else "not clearly better"
    return Decision(
        better,
        f"{verdict} than champion {evidence.champion_version}: NDCG@10 {evidence.candidate:.4f} against "
        f"{evidence.champion:.4f} on {evidence.users:,} users, {_interval(evidence)}{_prompted(evidence)}",
    )
