"""`freshet rank`: how items of the caller's choice rank for a user, and how probable each behaviour is."""

from typing import Unpack

import click
from google.protobuf.json_format import MessageToDict
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.ranking.v1.ranking_pb2 import RankItemsResponse
from services.console.answers.recommend import caption, heading, objectives_of, shares
from services.console.failures import run
from services.console.output import Output, Unbroken, json_option, titled
from shared.client import FreshetClient
from shared.client.calls import RankItemsFields


@click.command(short_help="Rank items for a user, with the probability of each behaviour.")
@click.argument("user")
@click.argument("items", nargs=-1, required=True)
@click.option("--placement", default="", help="Where they may be shown.")
@click.option(
    "--token", "min_consistency_token", default="", help="A consistency token that the answer must reflect."
)
@json_option
def rank(user: str, items: tuple[str, ...], as_json: bool, **fields: Unpack[RankItemsFields]) -> None:
    """Rank ITEMS for USER, the best first, with how probable each behaviour is.

    Nothing is left out, and nothing is logged as shown.

    \b
    Example:
      freshet rank shopper-0001 sku-00001 sku-00002 sku-00003
    """
    answer = run(_rank(user, items, fields))
    document = MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    Output(as_json).result(document, as_table(user, answer), [caption(answer)])


async def _rank(user: str, items: tuple[str, ...], fields: RankItemsFields) -> RankItemsResponse:
    async with FreshetClient() as client:
        return await client.rank_items(user, items, **fields)


def as_table(user: str, answer: RankItemsResponse) -> RenderableType:
    """The answer for people."""
    objectives = objectives_of(answer)
    table = Table(title=titled(f"Items for {user}"))
    for name in ("#", "item", "score", "source", *map(heading, objectives)):
        table.add_column(Text(name), justify="left" if name in ("item", "source") else "right")
    for result in answer.results:
        cells = (str(result.position), result.item_id, f"{result.score:.4f}", result.source)
        table.add_row(*map(Text, cells), *shares(result, objectives))
    return Unbroken(table)
