"""`freshet verify-erasure`: looks again whether anything is left of an erased user."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from freshet.feature.v1.feature_pb2 import GetUserFeaturesResponse
from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from services.console.erasing.erasure_check import UNTIL_CHECKPOINT, ErasureCheck, Place, find_receipt
from services.console.erasing.receipts import receipt_document
from services.console.erasing.stores import Stores, stores
from services.console.failures import CommandFailed, run
from services.console.output import Output, json_option, titled
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.user_traces import OnProgress, Reach
from shared.client import FreshetClient, FreshetError

CHECKPOINT_SECONDS, POLL_SECONDS = 30.0, 0.2
"""How long a checkpoint is waited for: three times as long as the feature service takes between two by default."""


@click.command(name="verify-erasure", short_help="Check that nothing is left of an erased user.")
@click.argument("user_id", required=False, default="")
@click.option("--receipt", "receipt_id", default="", metavar="RECEIPT_ID", help="The erasure to check.")
@json_option
def verify_erasure(user_id: str, receipt_id: str, as_json: bool) -> None:
    """Look through everything that is stored for what the erasure of USER_ID, or of the receipt, should have removed.

    It reads the log and the database themselves: FRESHET_NATS_URL, FRESHET_DATABASE_URL and FRESHET_NAMESPACE say
    which; by default those of `make run`. The live feature service is asked only if USER_ID is given. Waits up to
    half a minute for the checkpoint with which that service drops what it has stored.

    Ends with 1 if anything is left, and if USER_ID is given and the feature service does not answer: what it serves
    is not known then, and null in JSON. To look at what is stored alone, give --receipt without USER_ID.

    \b
    Example:
      freshet verify-erasure shopper-0001
      freshet verify-erasure --receipt 0f8e2c6d9a7b4e51b1d6f0a2c3e4d5f6 --json
    """
    if not user_id and not receipt_id:
        raise click.UsageError("give USER_ID, --receipt, or both")
    output = Output(as_json)
    receipt, places, models = run(_verify(user_id, receipt_id, output))
    output.result(_document(receipt, places, models), _table(receipt, places), [_models(models)])
    if wrong := "; ".join(_wrong(places, user_id)):
        raise CommandFailed(wrong)


def _wrong(places: list[Place], user_id: str) -> Iterator[str]:
    """What keeps the user from passing for erased."""
    if left := [place for place in places if place.left]:
        yield f"something is left of the user: {in_words(left)}"
    if user_id and (unknown := [place.name for place in places if place.left is None]):
        service = "the feature service does not answer, see `freshet status`"
        yield f"not known whether anything is left in: {', '.join(unknown)}; {service}"


def in_words(left: list[Place]) -> str:
    """The places where something is left, and what to do about it."""
    told = ", ".join(f"{place.name} ({place.left}) {place.note}".rstrip() for place in left)
    waits = all(place.note == UNTIL_CHECKPOINT for place in left)
    return f"{told}; {'see `freshet status`' if waits else 'erase them again'}"


async def _verify(
    user_id: str, receipt_id: str, output: Output
) -> tuple[ErasureReceipt, list[Place], list[str]]:
    async with stores() as opened:
        receipt = await _receipt(opened, user_id, receipt_id)
        check = ErasureCheck(opened, receipt)
        await _checkpoint(check, output)
        end = await check.ends()
        features = await _features(user_id, output)
        with output.progress("messages") as progress:
            places = [place async for place in check.places(end, features, _drawing(progress, end))]
        return receipt, places, await check.marked_models()


async def _receipt(opened: Stores, user_id: str, receipt_id: str) -> ErasureReceipt:
    receipt = await find_receipt(opened, receipt_id, user_key(user_id))
    if receipt is None:
        wanted = f"receipt {receipt_id}" if receipt_id else f"user {user_id!r}"
        raise CommandFailed(f"the log holds no completed erasure of {wanted}; see `freshet erase --help`")
    if user_id and receipt.user_key != user_key(user_id):
        raise CommandFailed(f"receipt {receipt_id} is of another user than {user_id!r}")
    return receipt


async def _checkpoint(check: ErasureCheck, output: Output) -> None:
    """Returns once the stored state reflects the erasure, or when it has not come to that for long enough."""
    if await check.awaits_checkpoint():
        output.note("waiting for the next checkpoint of the feature service")
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    while time.monotonic() < deadline and await check.awaits_checkpoint():
        await asyncio.sleep(POLL_SECONDS)


async def _features(user_id: str, output: Output) -> GetUserFeaturesResponse | None:
    if not user_id:
        return None
    try:
        async with FreshetClient() as client:
            return await client.get_user_features(user_id)
    except FreshetError as error:
        output.note(f"the feature service does not answer: {error.explain()}")
        return None


def _drawing(progress: Progress, end: Reach) -> OnProgress:
    """A bar for each stream."""
    ends = {"EVENTS": end.events, "EXPOSURES": end.exposures, "REJECTED": end.dead_letters}
    bars = {stream: progress.add_task(stream, total=last, detail="") for stream, last in ends.items()}
    return lambda stream, sequence: progress.update(bars[stream], completed=sequence)


def _document(receipt: ErasureReceipt, places: list[Place], models: list[str]) -> dict[str, Any]:
    return {
        "receipt": receipt_document(receipt),
        "left": {place.name: place.left for place in places},
        "marked_models": models,
    }


def _table(receipt: ErasureReceipt, places: list[Place]) -> RenderableType:
    title = titled(f"Erasure {receipt.receipt_id}, up to {receipt.position:,}")
    table = Table("place", "left", "", title=title)
    for place in places:
        colour = {None: "yellow", 0: "green"}.get(place.left, "red")
        left = "?" if place.left is None else f"{place.left:,}"
        table.add_row(Text(place.name), Text(left, style=colour), Text(place.note))
    return table


def _models(models: list[str]) -> str:
    if not models:
        return "no model in the registry has learned from the user"
    return f"marked models, to be replaced with `freshet train`: {', '.join(models)}"
