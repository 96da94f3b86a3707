"""What passes between who wants something judged and the process that judges, each a line of JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class DataJob(NamedTuple):
    """Contestants to be trained and judged on a data set.

    columns_file: .npz with the columns of `EventColumns`, ordered by time, those of one time in file order.
    domain: preset that says what events mean. encoders: names, also "all" and "none". minutes: most time for
    learning of each encoder, everything together. warm_up_events: of the prequential protocol, 0 for half of
    them. cut_time_ms, held_out_share: where the temporal protocol cuts; None and a share, or a time. learn_every,
    continue_every: events between two lessons of those that count, and of encoders; 0 for a tenth of the rest.
    plots: directory for pictures, empty for none.
    """

    columns_file: str
    domain: str
    protocol: str
    encoders: list[str]
    preset: str
    minutes: float
    warm_up_events: int = 0
    cut_time_ms: int | None = None
    held_out_share: float = 0.1
    learn_every: int = 256
    continue_every: int = 0
    history_length: int = 50
    seed: int = 0
    threads: int = 1
    niceness: int = 0
    plots: str = ""


class ModelJob(NamedTuple):
    """A registered model to be judged on the log.

    bundle: its file. learned_to: position of the log that it has learned up to. to_position: last position of
    the log to judge by. directory: where what was served is kept. min_users: of whose own events are asked for alone.
    """

    database_url: str
    namespace: str
    domain: str
    directory: str
    min_users: int
    protocol: str
    model_version: str
    bundle: str
    learned_to: int
    to_position: int
    history_length: int
    seed: int
    threads: int
    niceness: int
    log_level: str


class PairJob(NamedTuple):
    """A champion and its predecessor to be judged against each other on the log.

    *_bundle: their files. learned_to: position of the log up to which at least one of them has learned. to_position:
    last position of the log to judge by. directory: where what was served is kept. min_users: users a verdict needs.
    """

    database_url: str
    namespace: str
    domain: str
    directory: str
    min_users: int
    champion_version: str
    champion_bundle: str
    predecessor_version: str
    predecessor_bundle: str
    learned_to: int
    to_position: int
    history_length: int
    seed: int
    threads: int
    niceness: int
    log_level: str


class Went(NamedTuple):
    """How it goes: so many of so many, in a stage that is named."""

    stage: str
    done: int
    total: int
    detail: str = ""


class Judged(NamedTuple):
    """The last report: the scoreboard as a document, or the `Comparison` of a pair."""

    document: dict[str, Any]


class Failed(NamedTuple):
    """The last report: there is no verdict; reason: a sentence. refused: whether what was asked for cannot be had,
    rather than something went wrong."""

    reason: str
    refused: bool = False


EvaluationJob = DataJob | ModelJob | PairJob
EvaluationReport = Went | Judged | Failed
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (DataJob, ModelJob, PairJob, Went, Judged, Failed)
}


def encode(message: EvaluationJob | EvaluationReport) -> bytes:
    """One line."""
    return orjson.dumps([type(message).__name__, message._asdict()]) + b"\n"


def decode(line: bytes) -> Any:
    """What `encode` made. Raises KeyError, TypeError or ValueError for anything else."""
    kind, values = orjson.loads(line)
    return _KINDS[kind](**values)
