"""`freshet recommend`: what would be shown to a user now."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import click
from google.protobuf.json_format import MessageToDict
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.ranking.v1.ranking_pb2 import (
    DegradedReason,
    RankedItem,
    RankItemsResponse,
    RecommendResponse,
    RecommendResult,
)
from services.console.datasets.dataset import BadLine, DatasetError, read_items
from services.console.failures import CommandFailed, run
from services.console.output import Output, Unbroken, json_option, titled
from shared.client import FreshetClient
from shared.client.calls import RecommendFields


@click.command(short_help="Show what is recommended to a user.")
@click.argument("user")
@click.option(
    "--page-size", type=click.IntRange(1, 500), default=10, show_default=True, help="How many items."
)
@click.option(
    "--exclude",
    "exclude_item_ids",
    multiple=True,
    metavar="ITEM",
    help="An item to leave out; may be repeated.",
)
@click.option(
    "--token", "min_consistency_token", default="", help="A consistency token that the answer must reflect."
)
@click.option(
    "--probabilities", "with_probabilities", is_flag=True, help="Show how probable each behaviour is."
)
@click.option(
    "--titles",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="ITEMS_TSV",
    help="A file with the columns item, title and genres to take titles from.",
)
@json_option
def recommend(user: str, titles: Path | None, as_json: bool, **fields: Unpack[RecommendFields]) -> None:
    """Show what is recommended to USER now.

    \b
    Example:
      freshet recommend 42 --page-size 5 --titles data/ml-100k/items.tsv
    """
    title_of = _titles(titles)
    answer = run(_recommend(user, fields))
    document = MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    table = as_table(user, answer, title_of)
    Output(as_json).result(_with_titles(document, title_of), table, [caption(answer)])


def _titles(path: Path | None) -> dict[str, str]:
    bad_lines: list[BadLine] = []
    try:
        items = read_items(path, bad_lines) if path else []
    except DatasetError as error:
        raise CommandFailed(str(error)) from error
    return {item.item: item.title for item in items}


async def _recommend(user: str, fields: RecommendFields) -> RecommendResponse:
    async with FreshetClient() as client:
        return await client.recommend(user, **fields)


def _with_titles(document: dict[str, Any], title_of: dict[str, str]) -> dict[str, Any]:
    for result in document["results"]:
        if result["item_id"] in title_of:
            result["title"] = title_of[result["item_id"]]
    return document


def as_table(user: str, answer: RecommendResponse, title_of: dict[str, str]) -> RenderableType:
    """The answer for people."""
    table = Table(title=titled(f"Recommended to {user}"))
    objectives = objectives_of(answer)
    for name in ("#", "item", *(["title"] if title_of else []), "score", "source", *map(heading, objectives)):
        table.add_column(Text(name), justify="left" if name in ("item", "title", "source") else "right")
    for result in answer.results:
        title = [title_of.get(result.item_id, "")] if title_of else []
        cells = (str(result.position), result.item_id, *title, f"{result.score:.4f}", result.source)
        table.add_row(*map(Text, cells), *shares(result, objectives))
    return Unbroken(table)


def objectives_of(answer: RecommendResponse | RankItemsResponse) -> list[str]:
    """The behaviours that any result has a probability of."""
    return sorted({name for result in answer.results for name in result.probabilities})


def heading(objective: str) -> str:
    """Of a column of probabilities."""
    return f"P({objective})"


def shares(result: RecommendResult | RankedItem, objectives: Sequence[str]) -> list[str]:
    """The probabilities of one result, empty where there is none."""
    known = result.probabilities
    return [f"{known[name]:.4f}" if name in known else "" for name in objectives]


def caption(answer: RecommendResponse | RankItemsResponse) -> str:
    """Which model answered, and why the answer is less than the best."""
    reasons = [degraded_word(DegradedReason.Name(reason)) for reason in answer.degraded]
    model = f"model {answer.model_version}" if answer.model_version else "no model"
    return "; ".join([model, *(f"degraded: {reason}" for reason in reasons)])


def degraded_word(name: str) -> str:
    """What an answer lacked, in words such as "no model"."""
    return name.removeprefix("DEGRADED_REASON_").lower().replace("_", " ")
