"""`freshet replay`: a data set becomes events."""

from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table

from services.console.datasets.dataset import Dataset, DatasetError, Interaction, read_dataset
from services.console.datasets.facts import leave_one_out
from services.console.datasets.published import INTERACTIONS_FILE
from services.console.datasets.replaying import Replay, ReplayReport
from services.console.failures import CommandFailed, run
from services.console.number_options import Real
from services.console.output import Output, json_option
from shared.client import FreshetClient

SHOWN_BAD_LINES = 10


@click.command(short_help="Send a data set as events.")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Send only the first N interactions.")
@click.option("--holdout", type=click.Choice(["leave-one-out"]), help="Keep back each user's last event.")
@click.option("--skip-bad-lines", is_flag=True, help="Send the rest although some lines make no sense.")
@click.option(
    "--wait-seconds",
    type=Real(min=0),
    default=60.0,
    show_default=True,
    help="How long to wait for a service that goes away.",
)
@json_option
def replay(
    directory: Path, skip_bad_lines: bool, wait_seconds: float, as_json: bool, **selection: Any
) -> None:
    """Send the data set in DIRECTORY as events, in file order, and wait until features reflect them.

    interactions.tsv has the columns user, item, timestamp (seconds or milliseconds since 1970), and may have
    rating and event_type; items.tsv, if there is one, has item, and may have title and genres (separated by "|").
    Both are tab-separated with a header line; interactions.csv and items.csv hold the same between commas. Event
    ids follow from the content, so replaying again changes nothing: every event is a duplicate.

    Without interactions.tsv, MovieLens and Amazon reviews are read in the files they are published in, packed
    by gzip or not: u.data, ratings.dat and ratings.csv, with the movies beside them, or one of ratings_*.csv,
    *_5.json, *.jsonl and *.csv. Each row is a rating, and they are sent by time.

    \b
    Example:
      freshet replay data/ml-100k --holdout leave-one-out
    """
    output = Output(as_json)
    dataset = load(directory, skip_bad_lines, output)
    interactions = chosen(dataset, **selection)
    report = run(_replay(dataset, interactions, output, wait_seconds))
    output.result(report.document(), as_table(report), as_lines(report))
    if report.events.rejected or report.items.rejected:
        raise CommandFailed(f"{report.events.rejected + report.items.rejected} facts were refused")


def load(directory: Path, skip_bad_lines: bool, output: Output) -> Dataset:
    """Reads a data set and names its bad lines. Raises CommandFailed unless they may be skipped."""
    try:
        dataset = read_dataset(directory)
    except DatasetError as error:
        raise CommandFailed(str(error)) from error
    for bad in dataset.bad_lines[:SHOWN_BAD_LINES]:
        output.note(str(bad))
    _tell_files(dataset, output)
    if dataset.bad_lines and not skip_bad_lines:
        raise CommandFailed(
            f"{len(dataset.bad_lines)} lines of {directory} make no sense: correct them, or --skip-bad-lines"
        )
    return dataset


def _tell_files(dataset: Dataset, output: Output) -> None:
    """Says which files were chosen where there is no interactions.tsv, and that items are not told of."""
    interactions = dataset.files[0]
    if interactions.name != INTERACTIONS_FILE:
        output.note(f"read from {' and '.join(file.name for file in dataset.files)}")
    if dataset.lacking:
        output.note(f"{interactions.parent} has no {dataset.lacking}: items have no titles and genres")


def chosen(dataset: Dataset, limit: int | None, holdout: str | None) -> list[Interaction]:
    """The interactions to send. Raises CommandFailed if there are none."""
    interactions = dataset.interactions[:limit]
    if holdout is not None:
        interactions, _ = leave_one_out(interactions)
    if not interactions:
        raise CommandFailed(f"{dataset.name} has no interactions to send")
    return interactions


async def _replay(
    dataset: Dataset, interactions: list[Interaction], output: Output, wait_seconds: float
) -> ReplayReport:
    async with FreshetClient() as client:
        return await Replay(client, output, wait_seconds).run(dataset, interactions)


def as_table(report: ReplayReport) -> RenderableType:
    """The report for people."""
    table = Table("", "accepted", "duplicate", "rejected", title="Replay")
    for name, tally in (("items", report.items), ("events", report.events)):
        table.add_row(name, f"{tally.accepted:,}", f"{tally.duplicate:,}", f"{tally.rejected:,}")
    return table


def as_lines(report: ReplayReport) -> list[str]:
    """What does not fit in the table: speed, token, and the first refusals."""
    return [
        f"{report.events_per_second:,.0f} events/s; features followed after {report.fold_seconds:.2f} s",
        f"consistency token {report.consistency_token}",
        *report.items.rejections,
        *report.events.rejections,
    ]
