"""`freshet items`: the catalogue."""

import sys

import click

from freshet.ingestion.v1.ingestion_pb2 import WriteOutcome
from services.console.failures import run
from services.console.outcomes import as_document, as_table, fail_if_not_written
from services.console.output import Output, json_option
from shared.client import FreshetClient

MAX_AT_ONCE = 1000


@click.group(short_help="Change the catalogue.")
def items() -> None:
    """Change the catalogue.

    \b
    Example:
      freshet items delete item-1 item-2
    """


@items.command(short_help="Take items out of the catalogue.")
@click.argument("item_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(item_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Take the items ID... out of the catalogue: they are no longer recommended. What users did with them stays.

    Asks before it does so on a terminal. An item comes back when it is written again.

    \b
    Example:
      freshet items delete item-1 item-2 --yes
    """
    output = Output(as_json)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {len(item_ids):,} item(s) from the catalogue?", abort=True, err=True)
    outcomes = run(_delete(item_ids, output))
    document = {"items": [as_document(outcome) for outcome in outcomes]}
    output.result(document, as_table("item", item_ids, outcomes, duplicate="not in the catalogue"))
    fail_if_not_written("items", outcomes)


async def _delete(item_ids: tuple[str, ...], output: Output) -> list[WriteOutcome]:
    outcomes: list[WriteOutcome] = []
    async with FreshetClient() as client:
        with output.progress("items") as progress:
            task = progress.add_task("deleting", total=len(item_ids), detail="")
            for start in range(0, len(item_ids), MAX_AT_ONCE):
                part = item_ids[start : start + MAX_AT_ONCE]
                outcomes += (await client.delete_items(part)).outcomes
                progress.advance(task, len(part))
    return outcomes
