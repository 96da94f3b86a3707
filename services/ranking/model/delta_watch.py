"""Applies the deltas of the model in service, in order, from its first one; a new model begins anew.

What does not fit is refused and told, and the model serves on as it was; the delta that does fit is still welcome.
A first one behind others is of a trainer that found none of those: what they have told will be told again, so the model
is to be loaded anew, without them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from services.ranking.model.model_slot import DeltaProgress, ModelSlot
from services.ranking.model.scorer import Scorer
from shared.adapters.jetstream.deltas import DELTAS_AHEAD, decode_delta, delta_stream, delta_subject
from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.streams import Names
from shared.domain.models.delta import Chain, DeltaRefusedError

_log = structlog.get_logger("deltas")
DELTAS = Counter("freshet_deltas_total", "Deltas of models in service by outcome.", ["outcome"])
DELTA_LAG = Gauge(
    "freshet_delta_lag_seconds", "From reading the oldest news of the newest delta to serving it."
)
DELTA_POSITION = Gauge("freshet_delta_position", "Up to where the model in service has learned the log.")


@dataclass
class DeltaWatch:
    """Keeps the model in the slot up to date. _begun: where the newest delta lies with which one began anew."""

    slot: ModelSlot
    _begun: int = 0

    async def run(self, connection: Client, names: Names) -> None:
        """Follow the deltas of whatever serves, until cancelled."""
        while True:
            self.slot.swapped.clear()
            waits: list[asyncio.Task] = [asyncio.create_task(self.slot.swapped.wait())]
            if self.slot.current is not None:
                waits.append(asyncio.create_task(self._follow(connection, names, self.slot.current.version)))
            try:
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await _end(waits)

    async def _follow(self, connection: Client, names: Names, version: str) -> None:
        subjects = [delta_subject(names, version)]
        source = LogSource(delta_stream(names), subjects, max_pending=DELTAS_AHEAD, again=True)
        chain = Chain(version)
        async for batch in LogReader(connection, source).batches():
            await self.apply(chain, batch)

    async def apply(self, chain: Chain, batch: Sequence[LogMessage]) -> None:
        """Apply what fits of the model's next messages, and let calls be answered between any two. New items become
        recommendable together: looking them up takes longer the more the table holds."""
        current = self.slot.current
        if current is None or current.version != chain.model_version:
            return  # a swap is quicker than its notice
        scorer, refused = current.scorer, self.slot.deltas.refused_reason
        for message in batch:
            await asyncio.sleep(0)
            try:
                scorer = self._applied(scorer, chain, message.payload)
                refused = ""
            except DeltaRefusedError as error:
                DELTAS.labels("refused").inc()
                if not refused:  # what follows the first is refused, too: a week of deltas would be a flood
                    _log.error("delta refused", model_version=chain.model_version, reason=str(error))
                refused = str(error)
                self._note_beginning(chain, message, scorer.dimension)
        if self.slot.current is not None and self.slot.current.scorer is current.scorer:  # not loaded anew
            self.slot.renew(scorer, DeltaProgress(chain.sequence, chain.to_position, refused))

    def _note_beginning(self, chain: Chain, message: LogMessage, dimension: int) -> None:
        """Have the model loaded anew when a refused delta is a first one; once for each such delta, else a stream that
        holds two would have it loaded for ever."""
        if not chain.sequence or message.position <= self._begun:
            return
        with suppress(DeltaRefusedError):
            Chain(chain.model_version).check(decode_delta(message.payload, dimension))
            _log.warning("deltas begin anew", model_version=chain.model_version, applied=chain.sequence)
            self._begun = message.position
            self.slot.outdated.set()

    def _applied(self, scorer: Scorer, chain: Chain, payload: bytes) -> Scorer:
        delta = decode_delta(payload, scorer.dimension)
        chain.check(delta)
        scorer = scorer.learned(delta)
        chain.advance(delta)
        DELTAS.labels("applied").inc()
        DELTA_LAG.set(time.time() - delta.since_ms / 1000.0)
        DELTA_POSITION.set(delta.to_position)
        return scorer


async def _end(tasks: Sequence[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            if not task.done():
                await task
