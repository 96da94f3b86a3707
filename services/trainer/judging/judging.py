"""A candidate, the champion and the baselines, asked the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from services.trainer.judging.champion import champion_scorer
from services.trainer.model.answering.evaluation import HoldOut, Judgement, compare, judge
from services.trainer.model.answering.scoring import Scorer
from services.trainer.model.export.int8 import PREFIX, is_faster
from services.trainer.model.export.int8_scorer import mixed_int8_scorer
from services.trainer.model.mixing.baselines import most_popular, recently_popular
from services.trainer.model.mixing.mixture import MixedModel
from services.trainer.model.sequences import EventRoles
from services.trainer.policies.gate import Evidence
from services.trainer.processes.reports import Job
from shared.adapters.codecs.bundle import CorruptBundleError

_log = structlog.get_logger("judging")
_K = 10
_CANDIDATE, _CHAMPION = "", "champion/"
_POPULAR, _RECENT = "baseline/popular/", "baseline/recently_popular/"
_NAMES = {_CANDIDATE: "this model", _POPULAR: "popular", _RECENT: "recently-popular"}
_NOBODY: Mapping[str, Judgement] = {}


class Verdict(NamedTuple):
    """metrics: by name, the candidate's without a prefix. evidence: for the gate. judged: who answered, by a name for
    people, the candidate first; empty without questions."""

    metrics: dict[str, float]
    evidence: Evidence
    judged: Mapping[str, Judgement] = _NOBODY


def judge_candidate(model: MixedModel, held: HoldOut, roles: EventRoles, job: Job) -> Verdict:
    """Judge `model`, which has learned what is before the hold-out, by the users' next items in it."""
    before = held.train
    champion, unreadable = _champion(job)
    scorers: dict[str, Scorer] = {_CANDIDATE: model.scorer(), _POPULAR: most_popular(before, roles=roles)}
    scorers |= {_RECENT: recently_popular(before, roles=roles), **champion}
    if len(held.cases) and is_faster(model.model.encoder.config):
        scorers[PREFIX] = mixed_int8_scorer(model, job.threads)
    return _verdict(held, scorers, job, unreadable)


def _verdict(held: HoldOut, scorers: Mapping[str, Scorer], job: Job, unreadable: str) -> Verdict:
    cases, version = held.cases, job.champion_version if _CHAMPION in scorers else ""
    evidence = Evidence(
        len(cases),
        champion_version=version,
        champion_unreadable=unreadable,
        prompted_events=held.prompted_events,
        prompted_asked=held.prompted_asked,
    )
    if not len(cases):
        return Verdict({"judged_users": 0.0}, evidence)
    found = judge(cases, scorers, _K)
    metrics = {"judged_users": float(len(cases)), "prompted_events": float(held.prompted_events)}
    for prefix, judgement in found.items():
        metrics |= _metrics(prefix, judgement)
    evidence = evidence._replace(
        candidate=found[_CANDIDATE].ndcg, popular=found[_POPULAR].ndcg, recent=found[_RECENT].ndcg
    )
    evidence = _compared(evidence, found, _CHAMPION if version else _POPULAR)
    if version:
        evidence = evidence._replace(champion=found[_CHAMPION].ndcg)
        metrics["champion/difference"] = evidence.difference
    return Verdict(metrics, evidence, _for_people(found, version))


def _for_people(found: Mapping[str, Judgement], champion_version: str) -> dict[str, Judgement]:
    names = {**_NAMES, _CHAMPION: f"champion {champion_version}"}
    return {names[prefix]: judgement for prefix, judgement in found.items() if prefix in names}


def _compared(evidence: Evidence, found: Mapping[str, Judgement], bar: str) -> Evidence:
    difference = compare(found[_CANDIDATE], found[bar])
    return evidence._replace(
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
    )


def _metrics(prefix: str, judgement: Judgement) -> dict[str, float]:
    names = ("ndcg", "hit_rate", "mrr", "coverage")
    return {f"{prefix}{name}@{judgement.k}": float(getattr(judgement, name)) for name in names}


def _champion(job: Job) -> tuple[dict[str, Scorer], str]:
    """The champion's scorer by its prefix, if it can be read, and else why not."""
    if not job.champion_bundle:
        return {}, job.champion_unreadable
    try:
        return {_CHAMPION: champion_scorer(Path(job.champion_bundle), job.threads)}, ""
    except (CorruptBundleError, OSError) as error:
        _log.error(
            "the champion's bundle cannot be used", model_version=job.champion_version, reason=str(error)
        )
        return {}, str(error)
