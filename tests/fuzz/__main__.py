"""`python -m tests.fuzz --messages 1000000 --seed 7`: everything that must be refused is refused, by name."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import click
import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tests.fuzz.run import GROWTH_MIB, Plan, Report, fuzz
from tests.fuzz.tally import GRPC, NATS


@click.command()
@click.option(
    "--messages", type=click.IntRange(2), default=1_000_000, show_default=True, help="At both doors."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same messages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def main(messages: int, seed: int, as_json: bool) -> None:
    """Fuzz both doors of a real ingestion service. Exit code 1: something was not refused as it must be.

    \b
    Example:
      python -m tests.fuzz --messages 4000 --seed 7
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="freshet-fuzz-") as directory, _progress() as progress:
        task = progress.add_task("fuzzing", total=messages)
        plan = Plan(messages, seed, Path(directory))
        report = asyncio.run(fuzz(plan, lambda count: progress.advance(task, count)))
    if as_json:
        click.echo(json.dumps(report.document(), indent=2))
    else:
        _show(report)
    sys.exit(0 if passed(report) else 1)


def passed(report: Report) -> bool:
    """Whether all was as it must be."""
    return not report.tally.miss_count and report.growth_mib <= GROWTH_MIB


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


def _show(report: Report) -> None:
    console, tally = Console(), report.tally
    table = Table(title="Refused, by reason")
    for name in ("reason", "nats", "grpc"):
        table.add_column(name, justify="left" if name == "reason" else "right")
    for reason in sorted({reason for _, reason in tally.refused}):
        table.add_row(reason, f"{tally.refused[NATS, reason]:,}", f"{tally.refused[GRPC, reason]:,}")
    console.print(table)
    rate = report.plan.messages / report.seconds
    console.print(f"{report.plan.messages:,} messages in {report.seconds:,.0f} s, {rate:,.0f} a second")
    console.print(f"valid events accepted in between: {dict(tally.probes)}")
    console.print(f"memory grew by {report.growth_mib:.1f} MiB after the warm-up; at most {GROWTH_MIB:g}")
    console.print(f"misses: {tally.miss_count}", *tally.misses, sep="\n  ")


if __name__ == "__main__":
    main()
