"""The table: how everybody did, how sure that is, and who beats whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from services.trainer.model.answering.answers import Answers
from services.trainer.model.protocols.intervals import Estimate, UserBootstrap
from services.trainer.model.protocols.outcome import CONTINUAL, FROZEN, STALE, Entry, Outcome
from shared.domain.metrics.ranking_metrics import hit_gains, lead_words, mrr_gains, ndcg_gains

METRICS = ("ndcg", "hit_rate", "mrr")
COURSE_POINTS = 20
LIVE_HISTORY, LEARNING_ON, BEST_BASELINE = "live history", "learning on", "best baseline"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of some questions. Without any, all are 0.

    Attributes:
        questions: how many.
        ndcg: NDCG@k; in [0, 1] like the others, higher is better.
        hit_rate: HR@k.
        mrr: MRR@k.
        coverage: share of the catalogue in the lists.
    """

    questions: int
    ndcg: Estimate
    hit_rate: Estimate
    mrr: Estimate
    coverage: Estimate


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the table.

    Attributes:
        name: of the contestant.
        mode: "continual", "frozen" or "stale"; "" where a protocol knows no modes.
        baseline: whether models must beat it.
        best: whether no row has a higher NDCG.
        overall: of all questions.
        segments: by name.
        course: NDCG@k of successive stretches of the questions, as many as ``COURSE_POINTS`` or none.
        learning_seconds: spent learning.
        answering_seconds: spent answering, in all modes together.
    """

    name: str
    mode: str
    baseline: bool
    best: bool
    overall: Figures
    segments: dict[str, Figures]
    course: list[float]
    learning_seconds: float
    answering_seconds: float


@dataclass(frozen=True, slots=True)
class Gain:
    """A paired difference in NDCG@k.

    Attributes:
        name: whose.
        of: what makes it, "live history" (frozen - stale), "learning on" (continual - frozen), or "best baseline"
            for a model's lead over that.
        against: what it is compared with.
        difference: with its interval.
    """

    name: str
    of: str
    against: str
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """The outcome in figures.

    Attributes:
        protocol: its name.
        k: cut-off.
        confidence: of all intervals.
        questions: how many were asked.
        users: of how many users.
        catalogue_items: how many items were ranked.
        learned_events: before the first question.
        standings: the rows.
        gains: paired differences.
        verdicts: a sentence for each model, whether it beats the best baseline.
        prompted_events: how many events that could be asked for a recommendation may have prompted.
        prompted_asked: whether these are among what was asked for.
    """

    protocol: str
    k: int
    confidence: float
    questions: int
    users: int
    catalogue_items: int
    learned_events: int
    standings: list[Standing]
    gains: list[Gain]
    verdicts: list[str]
    prompted_events: int = 0
    prompted_asked: bool = False


def scoreboard(outcome: Outcome, k: int = 10, confidence: float = 0.95, seed: int = 0) -> Scoreboard:
    """The outcome in figures; every interval draws the same users."""
    draw = UserBootstrap(outcome.user_keys, confidence, seed=seed)
    standings = _with_best(_Judge(outcome, draw, k).standings())
    leads, users = _leads(outcome, standings, draw, k), len(np.unique(outcome.user_keys))
    return Scoreboard(
        protocol=outcome.protocol,
        k=k,
        confidence=confidence,
        questions=len(outcome.user_keys),
        users=users,
        catalogue_items=outcome.catalogue_items,
        learned_events=outcome.learned_events,
        standings=standings,
        gains=[*_gains(outcome, draw, k), *leads],
        verdicts=[_verdict(lead, k, users) for lead in leads],
    )


class _Judge:
    """Measures each answer of each entry."""

    def __init__(self, outcome: Outcome, draw: UserBootstrap, k: int) -> None:
        self._outcome, self._draw, self._k = outcome, draw, k

    def standings(self) -> list[Standing]:
        return [self._standing(entry, mode) for entry in self._outcome.entries for mode in entry.answers]

    def _standing(self, entry: Entry, mode: str) -> Standing:
        answers = entry.answers[mode]
        everything = np.ones(len(answers.ranks), bool)
        return Standing(
            name=entry.contestant.name,
            mode=mode,
            baseline=entry.contestant.baseline,
            best=False,
            overall=self._figures(answers, everything),
            segments={name: self._figures(answers, of) for name, of in self._outcome.segments.items()},
            course=_course(ndcg_gains(answers.ranks, self._k)) if mode else [],
            learning_seconds=entry.learning_seconds,
            answering_seconds=entry.answering_seconds,
        )

    def _figures(self, answers: Answers, counted: np.ndarray) -> Figures:
        gains = (ndcg_gains, hit_gains, mrr_gains)
        values = np.stack([gain(answers.ranks, self._k) for gain in gains], axis=1)  # (Q, 3)
        listed = np.where(counted[:, None], answers.top, -1)
        covered = self._draw.coverage(listed, self._outcome.catalogue_items)
        ndcg, hit_rate, mrr = self._draw.means(values, counted)
        return Figures(int(counted.sum()), ndcg, hit_rate, mrr, covered)


def _course(gains: np.ndarray) -> list[float]:
    return [float(part.mean()) for part in np.array_split(gains, COURSE_POINTS) if len(part)]


def _with_best(standings: list[Standing]) -> list[Standing]:
    best = max((each.overall.ndcg.value for each in standings), default=0.0)
    return [replace(each, best=each.overall.ndcg.value == best > 0.0) for each in standings]


def _gains(outcome: Outcome, draw: UserBootstrap, k: int) -> list[Gain]:
    found = []
    for entry in outcome.entries:
        for of, better, worse in ((LEARNING_ON, CONTINUAL, FROZEN), (LIVE_HISTORY, FROZEN, STALE)):
            if better in entry.answers and worse in entry.answers:
                difference = _difference(draw, entry.answers[better], entry.answers[worse], k)
                found.append(Gain(entry.contestant.name, of, f"{entry.contestant.name}, {worse}", difference))
    return found


def _leads(outcome: Outcome, standings: list[Standing], draw: UserBootstrap, k: int) -> list[Gain]:
    """Each model's lead over the best baseline, both as they do best in serving: live, and learning if they do."""
    served = {each.name: each for each in reversed(standings) if each.mode != STALE}
    entries = {entry.contestant.name: entry for entry in outcome.entries}
    baselines = [each for each in served.values() if each.baseline]
    if not baselines:
        return []
    bar = max(baselines, key=lambda each: each.overall.ndcg.value)
    against = entries[bar.name].answers[bar.mode]
    return [
        Gain(
            name,
            BEST_BASELINE,
            bar.name,
            _difference(draw, entries[name].answers[served[name].mode], against, k),
        )
        for name, entry in entries.items()
        if not entry.contestant.baseline
    ]


def _difference(draw: UserBootstrap, better: Answers, worse: Answers, k: int) -> Estimate:
    (difference,) = draw.means((ndcg_gains(better.ranks, k) - ndcg_gains(worse.ranks, k))[:, None])
    return difference


def _verdict(lead: Gain, k: int, users: int) -> str:
    by = lead.difference
    words = lead_words(by.low, by.high, users)
    figures = f"NDCG@{k} {by.value:+.4f} [{by.low:+.4f}, {by.high:+.4f}]"
    return f"{lead.name} {words} the best baseline, {lead.against}: {figures}"
