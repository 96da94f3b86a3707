"""The process that loads a model: a fork of `python -m services.ranking.model.loader CHANNEL` for each of them.

Decision: a process, not a thread. Unpacking and checking 100,000 items copies a hundred megabytes under the
interpreter's lock, and every request that comes meanwhile would wait for it. Here it takes a processor's spare time,
and gives its memory back. What comes out is a scorer that has passed every check, handed over without a copy.
onnxruntime is imported behind the fork, since it starts a thread, which a fork would not have.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import nats.errors
import structlog
from nats.js.errors import Error as JetStreamError

from services.ranking.model import handover
from services.ranking.model.load_messages import (
    Loaded,
    LoadJob,
    Outcome,
    Refused,
    Unavailable,
    decode,
    encode,
)
from shared.adapters.codecs.bundle import CorruptBundleError, unpack
from shared.adapters.jetstream.bundle_store import BundleNotFoundError, bundle_store
from shared.adapters.jetstream.connection import nats_connection
from shared.adapters.jetstream.streams import Names
from shared.runtime.fork_server import serve
from shared.runtime.leash import Leash
from shared.runtime.logs import configure_logs
from shared.runtime.priority import step_back

if TYPE_CHECKING:
    from services.ranking.model.scorer import Scorer

_NICENESS = 19
"""Requests go first."""
_log = structlog.get_logger("loader")


def load(descriptors: Sequence[int]) -> None:
    """Do the one job, or say why not. descriptors: of the leash's channel, and of the file that takes the scorer."""
    leash = Leash(descriptors[0])
    job: LoadJob = decode(leash.job)
    step_back(_NICENESS)
    configure_logs("ranking", job.log_level)
    with os.fdopen(descriptors[1], "r+b") as file:
        leash.tell(encode(asyncio.run(_outcome(job, file))))


async def _outcome(job: LoadJob, file: BinaryIO) -> Outcome:
    """Nothing large may be what `asyncio.run` runs to: CPython 3.11 has it written out by `repr`, for nobody."""
    try:
        return Loaded(handover.write(file, _scorer(await _packed(job), job)))
    except (BundleNotFoundError, CorruptBundleError) as error:
        return Refused(f"{type(error).__name__}: {error}")
    except (nats.errors.Error, JetStreamError, OSError, TimeoutError) as error:
        return Unavailable(repr(error))
    except Exception as error:
        _log.error("loading failed", exc_info=error)
        return Refused(f"a defect in loading, see the log: {error!r}")


async def _packed(job: LoadJob) -> bytes:
    async with nats_connection(job.nats_url, "ranking-loader") as connection:
        store = bundle_store(job.bundle_store, connection, Names(job.namespace))
        return await store.get(job.digest)


def _scorer(packed: bytes, job: LoadJob) -> Scorer:
    from services.ranking.model.scorer import Scorer

    bundle = unpack(packed)
    if bundle.digest != job.digest:
        raise CorruptBundleError(f"its digest is {bundle.digest[:16]}, not {job.digest[:16]}")
    return Scorer(bundle, job.threads, job.precision)


if __name__ == "__main__":
    serve(load)
