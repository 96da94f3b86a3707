"""`freshet replay-check`: the log, folded anew, gives the state that is served, bit for bit."""

from typing import Any

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.feature.v1.feature_pb2 import (
    Fold,
    GetStateDigestRequest,
    GetStateDigestResponse,
    PartitionDigest,
)
from services.console.failures import CommandFailed, run
from services.console.feature_instances import ask_all_instances
from services.console.log.log_fold import Log, fold_log, log_options, open_log
from services.console.output import Output, json_option
from shared.adapters.presets import load_preset
from shared.domain.fold.state import FOLD_VERSION, FoldSettings, State
from shared.domain.fold.state_digest import digests
from shared.domain.presets.preset import PresetError

TRIES = 3
"""An erasure that ends between the two looks makes them differ: then both look again."""


@click.command(short_help="Prove that the log gives the state that is served.")
@click.option("--domain", help="The deployment's preset file, when it is not a shipped one.")
@log_options
@json_option
def replay_check(domain: str | None, nats_url: str, namespace: str, as_json: bool) -> None:
    """Fold the whole log anew on this machine, and compare the digest of every partition with the one that the feature
    service (all its instances) answers for the same position.

    Ends with 1 if any differs, also where a user is being erased.

    \b
    Example:
      freshet replay-check --json
    """
    output = Output(as_json)
    document = run(_check(output, domain, nats_url, namespace))
    output.result(document, as_table(document))
    wrong = [row["partition"] for row in document["partitions"] if not row["equal"]]
    if different := [each for each in wrong if each not in document["erasing"]]:
        raise CommandFailed(
            f"the digests of partitions {different} differ: the state served is not that of the log"
        )
    if wrong:
        raise CommandFailed(
            f"partitions {wrong} cannot be compared while the erasure of a user there is under way: look again "
            "when it is complete"
        )


async def _check(output: Output, domain: str | None, nats_url: str, namespace: str) -> dict[str, Any]:
    async with open_log(nats_url, namespace) as log:
        for _ in range(TRIES):
            before = await log.erasures()
            answers = await ask_all_instances("GetStateDigest", GetStateDigestRequest())
            document = await _compare(output, log, answers, domain)
            if document["equal"]:
                break
        erased = [] if document["equal"] else await log.being_erased(before)
        partitions = answers[0].fold.partitions
        return {**document, "erasing": sorted({key % partitions for key in erased})}


async def _compare(
    output: Output, log: Log, answers: list[GetStateDigestResponse], domain: str | None
) -> dict[str, Any]:
    served = served_digests(answers)
    state = State(fold_settings(answers[0].fold, domain), served)
    limits = {partition: int(each.position) for partition, each in served.items()}
    with output.progress("positions") as progress:
        task = progress.add_task("folding the log", total=max(limits.values()), detail="")
        await fold_log(log, state, limits, lambda position: progress.update(task, completed=position))
    rows = [_row(served[each.partition], each.digest) for each in digests(state, served)]
    return {
        "equal": all(row["equal"] for row in rows),
        "position": max(limits.values()),
        "users": sum(row["users"] for row in rows),
        "items": sum(row["items"] for row in rows),
        "instances": len(answers),
        "fold": state.settings.name,
        "partitions": rows,
    }


def served_digests(answers: list[GetStateDigestResponse]) -> dict[int, PartitionDigest]:
    """What all instances say, by partition. Raises CommandFailed when some partition is nobody's: a proof that leaves
    one out proves nothing."""
    served = {each.partition: each for answer in answers for each in answer.partition_digests}
    if missing := sorted(set(range(answers[0].fold.partitions)) - set(served)):
        where = "name all instances in FRESHET_FEATURE_ADDRESS, for example 0-7=host:port,8-15=host:port"
        raise CommandFailed(f"no instance that was asked owns partitions {missing}: {where}")
    return served


def fold_settings(fold: Fold, domain: str | None) -> FoldSettings:
    """The settings that make this process fold as the service does. Raises CommandFailed when it cannot."""
    if fold.version != FOLD_VERSION:
        raise CommandFailed(
            f"the service folds by version {fold.version}, this command by {FOLD_VERSION}: use the same release"
        )
    try:
        return FoldSettings(load_preset(domain or fold.domain), fold.history_length, fold.partitions)
    except PresetError as error:
        raise CommandFailed(f"{error}; name the deployment's preset with --domain") from error


def _row(served: PartitionDigest, digest: str) -> dict[str, Any]:
    return {
        "partition": served.partition,
        "position": served.position,
        "users": served.user_count,
        "items": served.item_count,
        "equal": served.digest == digest,
        "served_digest": served.digest,
        "replayed_digest": digest,
    }


def as_table(document: dict[str, Any]) -> RenderableType:
    """The comparison for people."""
    title = f"{'equal' if document['equal'] else 'DIFFERENT'} up to position {document['position']:,}"
    table = Table("partition", "users", "items", "served digest", "replayed digest", title=title)
    for row in document["partitions"]:
        colour = "green" if row["equal"] else "red"
        shown = [Text(row["served_digest"][:16]), Text(row["replayed_digest"][:16], style=colour)]
        table.add_row(str(row["partition"]), f"{row['users']:,}", f"{row['items']:,}", *shown)
    return table
