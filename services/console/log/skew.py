"""`freshet skew`: what was served is what the log says, as of the position it was served at."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click
import numpy as np
from google.protobuf.message import DecodeError
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from freshet.feature.v1.feature_pb2 import GetStateDigestRequest
from freshet.log.v1.log_pb2 import Exposure
from services.console.failures import CommandFailed, run
from services.console.feature_instances import ask_all_instances
from services.console.log.log_fold import Log, decoded, log_options, open_log
from services.console.log.replay_check import fold_settings
from services.console.output import Output, Unbroken, json_option
from shared.adapters.codecs.keys import user_key
from shared.adapters.jetstream.log_range import read_stream
from shared.domain.events.event_batch import EventBatch
from shared.domain.fold.state import State, fold

SHOWN = 10


class Difference(NamedTuple):
    """A served feature that is not what the log gives as of its position."""

    attribution_token: str
    user_id: str
    position: int
    feature: str


@click.command(short_help="Compare the features that were served with those that the log gives.")
@click.option("--domain", help="The deployment's preset file, when it is not a shipped one.")
@log_options
@json_option
def skew(domain: str | None, nats_url: str, namespace: str, as_json: bool) -> None:
    """Fold the log anew and, at the position of every exposure, compare the history that was served with the folded
    one: items, event types and times.

    Training learns from that fold, so a difference is a skew between training and serving. Ends with 1 if there is any.
    Who is being erased meanwhile is left out.

    \b
    Example:
      freshet skew --json
    """
    output = Output(as_json)
    document = run(_skew(output, domain, nats_url, namespace))
    output.result(document, as_table(document))
    if document["differences"]:
        raise CommandFailed(f"{document['differences']} served features differ from the log")


async def _skew(output: Output, domain: str | None, nats_url: str, namespace: str) -> dict[str, Any]:
    answers = await ask_all_instances("GetStateDigest", GetStateDigestRequest(partitions=[]))
    state = State(fold_settings(answers[0].fold, domain))
    async with open_log(nats_url, namespace) as log:
        before = await log.erasures()
        exposures = await _exposures(log)
        found = await _compare_all(output, log, state, exposures)
        erased = await log.being_erased(before)
    found = [each for each in found if user_key(each.user_id) not in erased]
    return {
        "exposures": len(exposures),
        "differences": len(found),
        "first_differences": [each._asdict() for each in found[:SHOWN]],
    }


async def _exposures(log: Log) -> list[Exposure]:
    """All exposures, in the order of the positions they were served at."""
    exposures = []
    subject = log.names.subject("exposures.v1.*")
    async for messages in read_stream(log.connection, log.names.stream("EXPOSURES"), subject):
        for message in messages:
            try:
                exposures.append(Exposure.FromString(message.payload))
            except DecodeError as error:
                raise CommandFailed(f"exposure {message.position} cannot be read: {error}") from error
    return sorted(exposures, key=lambda exposure: exposure.position)


async def _compare_all(
    output: Output, log: Log, state: State, exposures: Sequence[Exposure]
) -> list[Difference]:
    if not exposures:
        return []
    found: list[Difference] = []
    waiting = iter(exposures)
    following = next(waiting, None)
    end = exposures[-1].position
    with output.progress("positions") as progress:
        task = progress.add_task("folding the log", total=end, detail="")
        async for messages in log.events(end):
            batch = decoded(messages)
            while following is not None and following.position < messages[-1].position:
                _fold_to(state, batch, following.position)
                found += _differences(state, following)
                following = next(waiting, None)
            _fold_to(state, batch, messages[-1].position)
            progress.update(task, completed=messages[-1].position)
    while following is not None:
        found += _differences(state, following)
        following = next(waiting, None)
    return found


def _fold_to(state: State, batch: EventBatch, position: int) -> None:
    fold(state, state.not_folded(batch.take(batch.position <= position)))


def _differences(state: State, exposure: Exposure) -> Iterator[Difference]:
    """What differs between an exposure and the folded state."""
    user = state.users.read(user_key(exposure.user_id))
    served: dict[str, np.ndarray] = {
        "history_item_keys": np.frombuffer(exposure.history_item_keys, np.uint64),
        "history_times_ms": np.frombuffer(exposure.history_times_ms, np.int64),
        "history_event_types": np.frombuffer(exposure.history_event_types, np.uint8),
    }
    for (name, values), column in zip(served.items(), ("item_key", "time_ms", "event_type"), strict=True):
        expected = user.history[column] if user is not None else np.empty(0, values.dtype)
        if not np.array_equal(values, expected):
            yield Difference(exposure.attribution_token, exposure.user_id, exposure.position, name)


def as_table(document: dict[str, Any]) -> RenderableType:
    """The result for people."""
    title = f"{document['differences']:,} differences in {document['exposures']:,} exposures"
    table = Table("exposure", "user", "position", "feature", title=title)
    for row in document["first_differences"]:
        exposure, user = Text(row["attribution_token"]), Text(row["user_id"])
        table.add_row(exposure, user, f"{row['position']:,}", row["feature"])
    return Unbroken(table)
