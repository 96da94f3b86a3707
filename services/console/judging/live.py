"""Judging the running system: `freshet evaluate --live`."""

import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import RenderableType
from rich.table import Table

from deploy.local.suite import SuiteSettings, local_suite
from services.console.answers.recommend import degraded_word
from services.console.datasets.dataset import Dataset
from services.console.judging.evaluation import Asked, Evaluation, evaluate_live
from services.console.judging.judged_lists import Interval, verdict
from services.console.output import Output, titled
from services.console.standings import places_of_interval
from shared.client import SERVICES, Addresses, FreshetClient

WAIT_SECONDS = 60.0


class OwnSuite(NamedTuple):
    """What a suite that is started to be judged is told."""

    domain: str
    history_length: int


async def judge_live(dataset: Dataset, output: Output, asked: Asked, suite: OwnSuite | None) -> Evaluation:
    """Judges what `Recommend` answers, of a suite that is started for it or, for None, of the one that runs. Raises
    CommandFailed, LauncherError, FreshetError."""
    if suite is not None:
        return await _on_own_suite(dataset, output, asked, suite)
    async with FreshetClient() as client:
        return await evaluate_live(client, dataset, asked, WAIT_SECONDS, output)


async def _on_own_suite(dataset: Dataset, output: Output, asked: Asked, told: OwnSuite) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="freshet-evaluate-", ignore_cleanup_errors=True) as directory:
        output.note(f"starting a suite of its own, with histories of {told.history_length} events")
        async with local_suite(_suite_settings(Path(directory), told)) as suite:
            addresses = Addresses(**{service: suite.address(service) for service in SERVICES})
            async with FreshetClient(addresses) as client:
                evaluation = await evaluate_live(client, dataset, asked, WAIT_SECONDS, output)
                return replace(evaluation, history_length=told.history_length)


def _suite_settings(directory: Path, told: OwnSuite) -> SuiteSettings:
    """Fresh brokers and services that train only when they are told to."""
    history = {"FRESHET_HISTORY_LENGTH": str(told.history_length)}
    only_when_told = {
        "FRESHET_TRAIN_EVERY_EVENTS": "0",
        "FRESHET_TRAIN_INTERVAL_SECONDS": "0",
        "FRESHET_TRAIN_DRIFT_PSI": "0",
    }
    return SuiteSettings.on_free_ports(
        directory=directory,
        namespace=f"evaluate_{uuid.uuid4().hex[:8]}",
        domain=told.domain,
        environment={"feature": history, "trainer": {**only_when_told, **history}},
    )


def as_table(evaluation: Evaluation) -> RenderableType:
    """The evaluation for people."""
    title = titled(f"{evaluation.dataset}, leave-one-out, 95% intervals")
    table = Table("", "NDCG@10", "HR@10", "MRR@10", "coverage@10", title=title)
    for name, metrics in (("model", evaluation.model), ("popular", evaluation.popular)):
        figures = (
            _figure(metrics.ndcg_at_10, metrics.ndcg_at_10_interval),
            _figure(metrics.hit_rate_at_10, metrics.hit_rate_at_10_interval),
            _figure(metrics.mrr_at_10, metrics.mrr_at_10_interval),
            f"{metrics.coverage_at_10:.4f}",
        )
        table.add_row(name, *figures)
    return table


def _degraded(evaluation: Evaluation) -> str:
    counts = evaluation.degraded_answers.items()
    return ", ".join(f"{count:,} {degraded_word(name)}" for name, count in counts) or "none"


def _figure(value: float, interval: Interval) -> str:
    places = places_of_interval(*interval)
    return f"{value:.4f}\n{interval[0]:.{places}f}-{interval[1]:.{places}f}"


def as_lines(evaluation: Evaluation) -> list[str]:
    """What the figures stand on, and whether the model is better than the most popular items."""
    verdicts = [verdict(evaluation.lead)] if evaluation.lead else []
    return [
        f"{evaluation.users:,} users, {evaluation.training_events:,} events, "
        f"{evaluation.catalogue_items:,} items",
        f"model {evaluation.model_version} trained in {evaluation.training_seconds:.0f} s: {evaluation.gate}",
        f"Recommend p50 {evaluation.recommend_p50_ms:.1f} ms, p99 {evaluation.recommend_p99_ms:.1f} ms",
        f"degraded answers: {_degraded(evaluation)}",
        *verdicts,
    ]
