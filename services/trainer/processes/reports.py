"""What passes between the service and the process that learns: a job in, reports out, each a line of JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from freshet.trainer.v1.trainer_pb2 import TrainingState
from services.trainer.policies.gate import Evidence


class Job(NamedTuple):
    """What to learn and how.

    directory: for files on the way; the bundle is left there. to_position: last position of the log to
    learn from. min_users: users a verdict needs. encoder, preset: names of the encoder and its size. loss,
    trim_share: as of TrainingPlan. champion_*: version, file of the bundle, and position the
    champion has learned up to; empty and 0 without one. champion_unreadable: why there is no file although
    there is a champion. full: begin anew, whatever the champion knows.
    run_id: whose checkpoints these are; checkpoint_seconds: from one to the next, 0 for none.
    device, batch_tokens: as of TrainingPlan.
    """

    database_url: str
    namespace: str
    domain: str
    directory: str
    to_position: int
    max_minutes: float
    seed: int
    threads: int
    niceness: int
    hold_out_share: float
    hold_out_rows: int
    min_users: int
    history_length: int
    code_revision: str
    log_level: str
    encoder: str
    preset: str
    loss: str
    trim_share: float
    champion_version: str = ""
    champion_bundle: str = ""
    champion_position: int = 0
    champion_unreadable: str = ""
    full: bool = False
    run_id: str = ""
    checkpoint_seconds: float = 0.0
    device: str = "auto"
    batch_tokens: int = 0


class Entered(NamedTuple):
    """A state is entered."""

    state: TrainingState


class Read(NamedTuple):
    """So many events have been read."""

    event_count: int


class Learned(NamedTuple):
    """How learning goes; as the fields of TrainingRun."""

    step: int
    total_steps: int
    loss: float
    examples_per_second: float
    eta_seconds: float


class Finished(NamedTuple):
    """A bundle is ready. digest: its own; bundle: its file; metrics: by name; evidence: for the gate.
    champion_version: of the champion when the run began, empty for none. continued_from: version of the model that
    training went on from, empty when it began anew."""

    digest: str
    bundle: str
    item_count: int
    metrics: dict[str, float]
    evidence: Evidence
    champion_version: str = ""
    continued_from: str = ""


class Failed(NamedTuple):
    """There will be no bundle; reason: a sentence."""

    reason: str


class Died(NamedTuple):
    """The process that learns ended without a result, which it does not say itself; reason: a sentence."""

    reason: str


Report = Entered | Read | Learned | Finished | Failed
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Entered, Read, Learned, Finished, Failed)}


def encode_job(job: Job) -> bytes:
    """One line."""
    return orjson.dumps(job._asdict()) + b"\n"


def decode_job(line: bytes) -> Job:
    """What `encode_job` made. Raises TypeError or ValueError for anything else."""
    return Job(**orjson.loads(line))


def encode_report(report: Report) -> bytes:
    """One line."""
    values = report._asdict()
    if isinstance(report, Finished):
        values["evidence"] = report.evidence._asdict()
    return orjson.dumps([type(report).__name__, values]) + b"\n"


def decode_report(line: bytes) -> Report:
    """What `encode_report` made. Raises KeyError, TypeError or ValueError for anything else."""
    kind, values = orjson.loads(line)
    if kind == Finished.__name__:
        values["evidence"] = Evidence(**values["evidence"])
    return _KINDS[kind](**values)
