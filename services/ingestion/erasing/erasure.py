"""Carries out erasures: what the log asks for is done, whatever happens in between.

Decision: an erasure is a list of steps, each of which can be done again at any time. What is found is kept in
PostgreSQL before the first of it is deleted, so that the receipt counts what was there and not what a second try has
seen. Nothing else tells how far an erasure has come; after a crash all steps are gone through again, and those that
were done find nothing to do. Several instances may work on the same erasure for the same reason.

Behind every deleted message of the log lies, in the end, the completion of its erasure: so whoever waits for the log's
last position never waits for a message that is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import structlog
from nats.aio.client import Client
from prometheus_client import Counter

from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt
from freshet.log.v1.log_pb2 import Erasure
from services.ingestion.erasing.erasure_requests import LOG_AWAY, ErasureRequests
from shared.adapters.codecs.keys import partition_of
from shared.adapters.jetstream.erasures import Erasures, ErasureStep
from shared.adapters.jetstream.scanning import overwrite
from shared.adapters.jetstream.streams import Names, last_position_of
from shared.adapters.jetstream.user_traces import TraceFinder, Traces
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.erasure_store import ErasureStore
from shared.adapters.postgres.model_erasures import ModelErasures
from shared.adapters.postgres.tables import events as event_table

_log = structlog.get_logger("erasure")
_POLL_SECONDS = 0.05
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0
OTHERS_SECONDS = 3.0
"""How long the instance that was asked has, before the others begin with the same erasure."""
ERASURES = Counter("freshet_erasures_total", "Erasures that this process has carried out.")


@dataclass(frozen=True)
class ErasureTools:
    """What an erasure works with."""

    connection: Client
    names: Names
    archive: Archive
    store: ErasureStore
    models: ModelErasures
    finder: TraceFinder


class ErasureSteps:
    """The steps of an erasure, to be done in the order of `all`. receipt: that of the request.

    Each raises what nats-py and SQLAlchemy raise while a broker is away, and may then be done again.
    """

    def __init__(self, tools: ErasureTools, erasures: Erasures, settle_seconds: float) -> None:
        self._tools = tools
        self._erasures = erasures
        self._settle_seconds = settle_seconds
        self.all = (
            self.await_archive, self.find, self.delete_messages, self.delete_rows, self.complete, self.clear,
        )  # fmt: skip

    async def await_archive(self, receipt: ErasureReceipt) -> None:
        """Wait until the archive holds the log up to the erasure: later it takes in nothing from before it."""
        while await self._tools.archive.position() < receipt.position:
            await asyncio.sleep(_POLL_SECONDS)

    async def find(self, receipt: ErasureReceipt) -> None:
        """Find what there is of the user and keep it, unless that was done."""
        tools = self._tools
        if await tools.store.found(receipt.receipt_id) is not None:
            return
        await self._settle(receipt)
        end = await tools.finder.ends(receipt.position)
        traces = await tools.finder.find(receipt.user_key, end)
        rows = await tools.store.count_rows(receipt.user_key, receipt.position)
        found = _counted(receipt, traces, rows.get(event_table.name, 0))
        found.exposures_sequence, found.dead_letters_sequence = end.exposures, end.dead_letters
        found.model_versions[:] = await tools.models.trained_since(found.first_position)
        await tools.store.save(found, _targets(traces))

    async def _settle(self, receipt: ErasureReceipt) -> None:
        """Give exposures that were on their way at the request the time to arrive."""
        age = time.time() - receipt.request_time.ToNanoseconds() / 1e9
        await asyncio.sleep(min(max(self._settle_seconds - age, 0.0), self._settle_seconds))

    async def delete_messages(self, receipt: ErasureReceipt) -> None:
        """Delete and overwrite the messages that were found."""
        for stream, sequences in (await self._tools.store.targets(receipt.receipt_id)).items():
            await overwrite(self._tools.connection, self._tools.names.stream(stream), sequences)

    async def delete_rows(self, receipt: ErasureReceipt) -> None:
        """Delete the archive's rows and the profile's."""
        await self._tools.store.delete_rows(receipt.user_key, receipt.position)

    async def complete(self, receipt: ErasureReceipt) -> None:
        """Append the completion, unless the log holds it."""
        found = await self._tools.store.found(receipt.receipt_id)
        step = self._erasures.step_of(receipt.receipt_id)
        if found is None or (step is not None and step.complete):
            return
        found.complete_time.FromNanoseconds(time.time_ns())
        partition = partition_of(receipt.user_key, self._tools.finder.partitions)
        await self._tools.connection.jetstream().publish(
            self._tools.names.erasure_subject(partition),
            Erasure(receipt=found).SerializeToString(),
            headers={"Nats-Msg-Id": f"erasure-{receipt.receipt_id}-complete"},
        )
        await self._erasures.completed(receipt.receipt_id)

    async def clear(self, receipt: ErasureReceipt) -> None:
        """Forget what was kept for the erasure: the log holds its receipt."""
        await self._tools.store.clear(receipt.receipt_id)


class ErasureWorker:
    """Carries out every erasure that the log asks for, one at a time in each partition."""

    def __init__(
        self, tools: ErasureTools, erasures: Erasures, requests: ErasureRequests, settle_seconds: float
    ) -> None:
        self._tools = tools
        self._erasures = erasures
        self._requests = requests
        self._steps = ErasureSteps(tools, erasures, settle_seconds)
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._left_over = 0

    async def run(self) -> None:
        """Work until cancelled; while NATS or PostgreSQL is away, wait for it. The tables must be there."""
        await _until_done(self._take_up)
        started: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._erasures.wait_pending(started)
                for step in self._erasures.pending():
                    if step.receipt.receipt_id not in started:
                        started.add(step.receipt.receipt_id)
                        tasks.create_task(self._carry_out(step))

    async def _take_up(self) -> None:
        """Learn what an earlier process left, and tidy up behind erasures that were complete."""
        names = self._tools.names
        self._left_over = await last_position_of(
            self._tools.connection, names, names.subject("erasures.v1.*")
        )
        await self._erasures.reach(self._left_over)
        for receipt_id in await self._tools.store.under_way():
            step = self._erasures.step_of(receipt_id)
            if step is not None and step.complete:
                await self._tools.store.clear(receipt_id)

    async def _carry_out(self, step: ErasureStep) -> None:
        receipt = step.receipt
        if receipt.receipt_id not in self._requests.mine and step.position > self._left_over:
            await self._leave_to_others(receipt.receipt_id)
        async with self._turns[partition_of(receipt.user_key, self._tools.finder.partitions)]:
            for each in self._steps.all:
                await _until_done(partial(each, receipt))
        self._requests.mine.discard(receipt.receipt_id)
        ERASURES.inc()
        _log.info("user erased", receipt_id=receipt.receipt_id, position=receipt.position)

    async def _leave_to_others(self, receipt_id: str) -> None:
        try:
            async with asyncio.timeout(OTHERS_SECONDS):
                await self._erasures.completed(receipt_id)
        except TimeoutError:
            _log.info("erasure is taken over", receipt_id=receipt_id)


def _counted(receipt: ErasureReceipt, traces: Traces, archive_rows: int) -> ErasureReceipt:
    found = ErasureReceipt()
    found.CopyFrom(receipt)
    found.deleted_events = len(traces.events)
    found.deleted_archive_rows = archive_rows
    found.deleted_exposures = len(traces.exposures)
    found.deleted_dead_letters = len(traces.dead_letters)
    found.deleted_profiles = len(traces.profiles)
    found.first_position = traces.events[0] if traces.events else 0
    return found


def _targets(traces: Traces) -> dict[str, list[int]]:
    return {
        "EVENTS": traces.events + traces.profiles,
        "EXPOSURES": traces.exposures,
        "REJECTED": traces.dead_letters + traces.redrives,
    }


async def _until_done(action):
    """Do it again with growing pauses while NATS or PostgreSQL is away."""
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await action()
        except DEFECTS:
            raise
        except (*LOG_AWAY, *UNAVAILABLE) as error:
            _log.warning("erasure waits", reason=(str(error) or repr(error)).splitlines()[0])
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)
