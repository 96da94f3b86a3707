"""What was served of late, for whoever judges by it, and kept in a file for the process that learns.

Decision: the service reads the stream, which it is connected to anyway, and bounds what it reads. Exposures serve as
impressions of users whose senders report none, and tell which events a recommendation had prompted: models that are
compared without them would be compared by the champion's own suggestions, so whoever judges waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import nats.errors
import nats.js.errors
import numpy as np
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.log.v1.log_pb2 import Exposure
from services.trainer.patience import patiently
from services.trainer.reading.prompting import NOTHING_SERVED, Served
from shared.adapters.codecs.exposed import exposed_columns
from shared.adapters.jetstream.last_messages import StoredMessage, messages_from
from shared.adapters.jetstream.scanning import last_sequence
from shared.adapters.jetstream.streams import Names, StreamError
from shared.domain.events.event_columns import EventColumns

_log = structlog.get_logger("exposures")
NEWEST = 20_000
"""So many exposures are read, the newest ones."""
_FILE, _KNOWN_FROM = "exposures.npz", "known_from"
_NEVER = np.iinfo(np.int64).max
_WAIT_SECONDS = 60.0
_AWAY = (nats.errors.Error, nats.js.errors.Error, StreamError, TimeoutError, OSError)


async def keep_exposures(connection: Client, names: Names, directory: Path) -> None:
    """Write the newest exposures into the directory. A run that goes on keeps those it began with.

    Raises StillAwayError when NATS does not answer within a minute."""
    if await asyncio.to_thread(_are_kept, directory):
        return
    newest = await patiently(lambda: newest_exposures(connection, names), _AWAY, _WAIT_SECONDS)
    await asyncio.to_thread(_write, newest, directory / _FILE)


def forget_exposures(directory: Path) -> None:
    """What was kept is of a job that is none any more: what was shown since would be missing."""
    (directory / _FILE).unlink(missing_ok=True)


def kept_exposures(directory: Path) -> Served:
    """What was kept; nothing when nothing was."""
    if not (directory / _FILE).exists():
        return NOTHING_SERVED
    with np.load(directory / _FILE, allow_pickle=False) as loaded:
        columns = {each.name: loaded[each.name] for each in fields(EventColumns)}
        return Served(EventColumns(**columns), int(loaded[_KNOWN_FROM]))


def _are_kept(directory: Path) -> bool:
    """Whether they are, whole: a crash of the machine may have left a part."""
    try:
        return kept_exposures(directory) is not NOTHING_SERVED
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        _log.warning("exposures are read again", reason=repr(error))
        forget_exposures(directory)
        return False


class Newest(NamedTuple):
    """exposures: in log order. all_of_them: whether nothing was ever served before."""

    exposures: list[Exposure]
    all_of_them: bool


async def newest_exposures(connection: Client, names: Names) -> Newest:
    """The newest `NEWEST` at most. Raises what NATS raises while it is away, and StreamError."""
    stream, subject = names.stream("EXPOSURES"), names.subject("exposures.v1.*")
    start = await last_sequence(connection, stream) - NEWEST + 1
    stored = await messages_from(connection, stream, subject, start, NEWEST)
    read = [each for message in stored if (each := _exposure(message)) is not None]
    return Newest(read, not stored or stored[0].position == 1)


def _exposure(message: StoredMessage) -> Exposure | None:
    try:
        return Exposure.FromString(message.payload)
    except DecodeError as error:
        _log.error("exposure cannot be read", position=message.position, reason=str(error))
        return None


def _known_from(exposures: Sequence[Exposure]) -> int:
    """Behind where the log was when the oldest were served. Decision: not the least position of all. An answer that was
    given while the feature service was away stands at 0, or far back; of some of the oldest, one knows better."""
    oldest = exposures[: len(exposures) // 100 + 1]
    return max((each.position + 1 for each in oldest), default=_NEVER)


def _write(newest: Newest, file: Path) -> None:
    columns = exposed_columns(newest.exposures)
    known_from = 0 if newest.all_of_them else _known_from(newest.exposures)
    partial = file.with_suffix(".partial.npz")
    named: dict[str, Any] = {each.name: getattr(columns, each.name) for each in fields(columns)}
    np.savez(partial, **named | {_KNOWN_FROM: known_from})
    partial.replace(file)
