"""`freshet erase`: removes everything that is stored of a user."""

import click

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from services.console.erasing.receipts import receipt_document, receipt_table
from services.console.failures import CommandFailed, run
from services.console.output import Output, json_option
from shared.client import FreshetClient


@click.command(short_help="Remove everything that is stored of a user.")
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@json_option
def erase(user_id: str, yes: bool, as_json: bool) -> None:
    """Remove everything that is stored of USER_ID, for good, and show the receipt.

    Ctrl-C stops the waiting, not the erasure; the same command waits for it again.

    \b
    Example:
      freshet erase shopper-0001 --yes --json
    """
    if not yes:
        click.confirm(f"Remove everything that is stored of {user_id!r}, for good?", abort=True, err=True)
    output = Output(as_json)
    receipt = run(_erase(user_id, output))
    output.result(receipt_document(receipt), receipt_table(receipt), _advice(receipt))


async def _erase(user_id: str, output: Output) -> ErasureReceipt:
    async with FreshetClient() as client:
        while True:
            receipt = (await client.erase_user(user_id)).receipt
            if receipt.HasField("complete_time"):
                return receipt
            if not receipt.receipt_id:
                raise CommandFailed("ingestion answered without a receipt: is it of this version?")
            output.note(f"erasure {receipt.receipt_id} is under way")


def _advice(receipt: ErasureReceipt) -> list[str]:
    check = f"check it again with `freshet verify-erasure --receipt {receipt.receipt_id}`"
    if receipt.model_versions:
        return ["run `freshet train` to replace models that learned from the user", check]
    return [check]
