"""What passes between ranking and the process that loads a model for it, each a line of JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class LoadJob(NamedTuple):
    """A bundle to be loaded. bundle_store, nats_url, namespace, threads, precision: as in the settings of ranking."""

    digest: str
    bundle_store: str
    nats_url: str
    namespace: str
    threads: int
    precision: str
    log_level: str


class Loaded(NamedTuple):
    """The scorer lies in the file. sizes: of its parts."""

    sizes: list[int]


class Refused(NamedTuple):
    """The bundle is not fit to serve."""

    reason: str


class Unavailable(NamedTuple):
    """The bundle cannot be had now."""

    reason: str


Outcome = Loaded | Refused | Unavailable
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (LoadJob, Loaded, Refused, Unavailable)}


def encode(message: LoadJob | Outcome) -> bytes:
    """One line."""
    return orjson.dumps([type(message).__name__, message._asdict()]) + b"\n"


def decode(line: bytes) -> Any:
    """What `encode` made. Raises KeyError, TypeError or ValueError for anything else."""
    kind, values = orjson.loads(line)
    return _KINDS[kind](**values)
