"""`freshet evaluate`: how good are the recommendations, asked of the running system."""

import tempfile
import uuid
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import RenderableType
from rich.table import Table

from deploy.local.errors import LauncherError
from deploy.local.suite import SuiteSettings, local_suite
from services.console.dataset import Dataset
from services.console.evaluation import Evaluation, evaluate_live
from services.console.failures import CommandFailed, run
from services.console.output import Output, json_option
from services.console.replay import load
from shared.client import SERVICES, Addresses, FreshetClient

WAIT_SECONDS = 60.0
DEFAULT_MINUTES = 5.0


@click.command(short_help="Judge recommendations against a data set.")
@click.option(
    "--data",
    "directory",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory as `freshet replay` reads it.",
)
@click.option(
    "--protocol",
    type=click.Choice(["leave-one-out"]),
    default="leave-one-out",
    show_default=True,
    expose_value=False,
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="The most time for learning.",
)
@click.option("--domain", default="video", show_default=True, help="Domain preset of the own suite.")
@click.option(
    "--output",
    "file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write JSON here too.",
)
@click.option("--against-running", is_flag=True, help="Use the running suite instead of an own one.")
@json_option
def evaluate(directory: Path, file: Path | None, as_json: bool, **conditions: Any) -> None:
    """Replay a data set without each user's last event, train, and judge what `Recommend` answers.

    An answer is good if the event that was kept back stands high in it. Runs on a suite of its own: fresh
    directory, free ports. With --against-running, the log of the running suite must not hold the events
    that are kept back: use a namespace that has never seen the data set.

    \b
    Example:
      freshet evaluate --data data/ml-100k --protocol leave-one-out --minutes 5
    """
    output = Output(as_json)
    dataset = load(directory, False, output)
    if not dataset.interactions:
        raise CommandFailed(f"{directory} has no interactions")
    try:
        evaluation = run(_evaluate(dataset, output, **conditions))
    except LauncherError as error:
        raise CommandFailed(str(error)) from error
    if file is not None:
        file.write_bytes(orjson.dumps(evaluation.document(), option=orjson.OPT_INDENT_2))
    output.result(evaluation.document(), as_table(evaluation), as_lines(evaluation))


async def _evaluate(
    dataset: Dataset, output: Output, minutes: float, domain: str, against_running: bool
) -> Evaluation:
    if not against_running:
        return await _on_own_suite(dataset, output, minutes, domain)
    async with FreshetClient() as client:
        return await evaluate_live(client, dataset, minutes, WAIT_SECONDS, output)


async def _on_own_suite(dataset: Dataset, output: Output, minutes: float, domain: str) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="freshet-evaluate-", ignore_cleanup_errors=True) as directory:
        output.note("starting a suite of its own")
        async with local_suite(_suite_settings(Path(directory), domain)) as suite:
            addresses = Addresses(**{service: suite.address(service) for service in SERVICES})
            async with FreshetClient(addresses) as client:
                return await evaluate_live(client, dataset, minutes, WAIT_SECONDS, output)


def _suite_settings(directory: Path, domain: str) -> SuiteSettings:
    """Fresh brokers and services that train only when they are told to."""
    only_when_told = {"FRESHET_TRAIN_EVERY_EVENTS": "0", "FRESHET_TRAIN_INTERVAL_SECONDS": "0"}
    return SuiteSettings.on_free_ports(
        directory=directory,
        namespace=f"evaluate_{uuid.uuid4().hex[:8]}",
        domain=domain,
        environment={"trainer": only_when_told},
    )


def as_table(evaluation: Evaluation) -> RenderableType:
    """The evaluation for people."""
    table = Table(
        "", "NDCG@10", "HR@10", "MRR@10", "coverage@10", title=f"{evaluation.dataset}, leave-one-out"
    )
    for name, metrics in (("model", evaluation.model), ("popular", evaluation.popular)):
        figures = (metrics.ndcg_at_10, metrics.hit_rate_at_10, metrics.mrr_at_10, metrics.coverage_at_10)
        table.add_row(name, *(f"{figure:.4f}" for figure in figures))
    return table


def as_lines(evaluation: Evaluation) -> list[str]:
    """What the figures stand on."""
    return [
        f"{evaluation.users:,} users, {evaluation.training_events:,} events, "
        f"{evaluation.catalogue_items:,} items",
        f"model {evaluation.model_version} trained in {evaluation.training_seconds:.0f} s: {evaluation.gate}",
        f"Recommend p50 {evaluation.recommend_p50_ms:.1f} ms, p99 {evaluation.recommend_p99_ms:.1f} ms",
        f"degraded answers: {evaluation.degraded_answers or 'none'}",
    ]
