"""What was served of late, for whoever judges by it, and kept in a file for the process that learns.

Decision: the service reads the stream, which it is connected to anyway, and bounds what it reads. Exposures serve only
as impressions of users whose senders report none, so a run without them is a run: while NATS is away it goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path

import nats.errors
import nats.js.errors
import numpy as np
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.exposed import exposed_columns
from shared.adapters.last_messages import StoredMessage, messages_from
from shared.adapters.scanning import last_sequence
from shared.adapters.streams import Names, StreamError
from shared.domain.event_columns import EventColumns

_log = structlog.get_logger("exposures")
NEWEST = 20_000
"""So many exposures are read, the newest ones."""
_FILE = "exposures.npz"
_AWAY = (nats.errors.Error, nats.js.errors.Error, StreamError, TimeoutError, OSError)


async def keep_exposures(connection: Client, names: Names, directory: Path) -> None:
    """Write the newest exposures into the directory, or say that they cannot be read. A run that goes on keeps those it
    began with."""
    if (directory / _FILE).exists():
        return
    try:
        exposures = await newest_exposures(connection, names)
    except _AWAY as error:
        _log.warning("learning goes on without exposures", reason=repr(error))
        return
    await asyncio.to_thread(_write, exposures, directory / _FILE)


def kept_exposures(directory: Path) -> EventColumns:
    """What was kept, as impressions in log order; nothing when nothing was."""
    if not (directory / _FILE).exists():
        return EventColumns.empty()
    with np.load(directory / _FILE, allow_pickle=False) as loaded:
        return EventColumns(**{name: loaded[name] for name in loaded.files})


async def newest_exposures(connection: Client, names: Names) -> list[Exposure]:
    """The newest `NEWEST` at most, in log order. Raises what NATS raises while it is away, and StreamError."""
    stream, subject = names.stream("EXPOSURES"), names.subject("exposures.v1.*")
    start = await last_sequence(connection, stream) - NEWEST + 1
    stored = await messages_from(connection, stream, subject, start, NEWEST)
    return [each for message in stored if (each := _exposure(message)) is not None]


def _exposure(message: StoredMessage) -> Exposure | None:
    try:
        return Exposure.FromString(message.payload)
    except DecodeError as error:
        _log.error("exposure cannot be read", position=message.position, reason=str(error))
        return None


def _write(exposures: list[Exposure], file: Path) -> None:
    columns = exposed_columns(exposures)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, **{each.name: getattr(columns, each.name) for each in fields(columns)})
    partial.replace(file)
