"""Publishes deltas of the champion while it serves. Runs beside the service's calls, without torch.

A trainer that was killed finds the last delta in the stream, folds the log again from the bundle on, and goes on with
the next number. Two trainers cannot tell the same twice: a delta is stored only right behind the one that its sender
knows as the last, and who comes second begins anew.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from services.trainer.deltas.delta_learning import DeltaLearner
from services.trainer.deltas.describing import Describer
from services.trainer.patience import first_line, patiently
from services.trainer.runs.publishing import LOG_AWAY
from services.trainer.settings import DELTA_MESSAGES
from services.trainer.text_embedding import TextEmbedding
from shared.adapters.codecs.bundle import Bundle, CorruptBundleError, unpack
from shared.adapters.codecs.event_codec import decode_batch
from shared.adapters.jetstream.bundle_store import BundleNotFoundError, BundleStore
from shared.adapters.jetstream.deltas import (
    DELTAS_AHEAD,
    decode_delta,
    delta_stream,
    delta_subject,
    publish_delta,
)
from shared.adapters.jetstream.erasures import ErasureStep, decode_step
from shared.adapters.jetstream.log_range import read_stream
from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.publish_behind import OvertakenError
from shared.adapters.jetstream.streams import Names, StreamError
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.postgres.registry import RegisteredModel, Registry
from shared.domain.content.new_items import NewItems
from shared.domain.models.delta import Chain, Delta, DeltaRefusedError
from shared.domain.models.following import Roles

_log = structlog.get_logger("deltas")
_PAUSE_SECONDS = 2.0
_LOOK_SECONDS = 2.0
_UNREADABLE_SECONDS = 60.0
_ARCHIVE_POLL_SECONDS = 0.1
_RECALLED_TOGETHER = 50
"""Users; a hundred events of each take a twentieth of a second, in which no call is answered."""
_QUIET_SHARE = 0.25
"""Of the time for which deltas are kept: after so much without news a delta tells that there is none. Were none left,
the next one would be the first again, which nobody who has applied others takes."""
_AWAY = (*LOG_AWAY, StreamError)
DELTAS = Counter("freshet_deltas_published_total", "Deltas of champions that were stored.")
DELTA_POSITION = Gauge("freshet_delta_published_position", "Up to where the log is in the newest delta.")


@dataclass(frozen=True)
class DeltaTools:
    """What deltas are made with. roles: which events teach; users: most whose newest events are kept at hand;
    embedding: what makes vectors of items' texts, if they are to have some; kept_seconds: for how long the stream keeps
    deltas, 0 for ever."""

    connection: Client
    names: Names
    archive: Archive
    registry: Registry
    store: BundleStore
    roles: Roles
    users: int
    embedding: TextEmbedding | None = None
    kept_seconds: float = 0.0


@dataclass
class _Champion:
    """A champion's learner, and where its last delta lies in the stream. since: when the oldest news was read.
    told_at: of the monotonic clock, when the last delta was stored; of one from before the start it is not known."""

    learner: DeltaLearner
    behind: int
    since: float = 0.0
    told_at: float = -math.inf


class DeltaWorker:
    """Follows the log for whoever is champion."""

    def __init__(self, tools: DeltaTools) -> None:
        self._tools = tools
        self._describer = Describer(tools.embedding)

    async def run(self, delta_seconds: float) -> None:
        """Publish until cancelled. The tables must be there."""
        while True:
            champion = await patiently(self._tools.registry.champion, UNAVAILABLE, math.inf)
            if champion is not None:
                await self._serve(champion, delta_seconds)
            await asyncio.sleep(min(delta_seconds, _PAUSE_SECONDS))

    async def _serve(self, model: RegisteredModel, delta_seconds: float) -> None:
        """Publish for this champion until it is none any more, or something makes it necessary to begin anew."""
        try:
            champion = await self._open(model)
        except (BundleNotFoundError, CorruptBundleError) as error:
            _log.error("champion cannot be read", model_version=model.model_version, reason=str(error))
            await self._wait_for_another(model)
            return
        except _AWAY as error:
            _log.warning("champion cannot be read now", reason=first_line(error))
            return
        _log.info(
            "deltas follow", model_version=model.model_version, sequence=champion.learner.chain.sequence
        )
        reading = asyncio.create_task(self._read(champion))
        try:
            while not reading.done() and await self._is_champion(model):
                await self._tell(champion)
                await asyncio.wait([reading], timeout=delta_seconds)
            if reading.done():
                reading.result()
        except OvertakenError as error:
            _log.warning("deltas begin anew", reason=str(error))
        except _AWAY as error:
            _log.warning("delta may not be stored; deltas begin anew", reason=first_line(error))
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _wait_for_another(self, model: RegisteredModel) -> None:
        """Until another is champion, or for a while: a bundle may be put back, but to look is to read all of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_UNREADABLE_SECONDS):
                while await self._is_champion(model):
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _open(self, model: RegisteredModel) -> _Champion:
        packed = await self._tools.store.get(model.bundle_digest)
        bundle = await asyncio.to_thread(unpack, packed)
        chain, given, behind = await self._stored(bundle, model.model_version)
        learner = DeltaLearner(bundle, self._tools.roles, self._tools.users, chain)
        await self._describe(learner.items)
        learner.items.note_given(given)
        return _Champion(learner, behind)

    async def _stored(self, bundle: Bundle, version: str) -> tuple[Chain, set[int], int]:
        """The chain of the deltas that are stored, the items they gave rows, and where the last of them lies."""
        chain, given = Chain(version, bundle.manifest.log_to), set[int]()
        behind, names = 0, self._tools.names
        stream, subject = delta_stream(names), delta_subject(names, version)
        async for batch in read_stream(self._tools.connection, stream, subject, max_pending=DELTAS_AHEAD):
            for message in batch:
                with suppress(DeltaRefusedError):
                    delta = decode_delta(message.payload, bundle.manifest.dimension)
                    chain.take_up(delta)
                    given.update(delta.item_keys.tolist())
                behind = message.position
        return chain, given, behind

    async def _describe(self, items: NewItems) -> None:
        """Tell the learner what the catalogue holds now."""
        tools = self._tools
        subject = tools.names.subject("items.v1.*")
        async for batch in read_stream(tools.connection, tools.names.events, subject, newest=True):
            await self._describer.describe(items, batch)
        await self._describer.learn(items)

    async def _is_champion(self, model: RegisteredModel) -> bool:
        """False when another one is; while PostgreSQL is away or frozen it stays."""
        try:
            champion = await within(_LOOK_SECONDS, self._tools.registry.champion())
        except DEFECTS:
            raise
        except UNAVAILABLE:
            return True
        return champion is not None and champion.bundle_digest == model.bundle_digest

    async def _read(self, champion: _Champion) -> None:
        """Follow the log, without end."""
        names = self._tools.names
        subjects = [names.event_subject("*", "*"), names.subject("items.v1.*"), names.erasure_subject("*")]
        start = champion.learner.position + 1
        source = LogSource(names.events, subjects, start=start, max_pending=DELTA_MESSAGES)
        async for batch in LogReader(self._tools.connection, source).batches():
            champion.since = champion.since or time.time()
            for kind, stretch in _stretches(batch, names):
                await self._take(champion.learner, kind, stretch)
            champion.learner.passed(batch[-1].position)

    async def _take(self, learner: DeltaLearner, kind: str, stretch: Sequence[LogMessage]) -> None:
        if kind == "items":
            await self._describer.describe(learner.items, stretch)
            await self._describer.learn(learner.items)
        elif kind == "erasures":
            for step in map(decode_step, stretch):
                _forget(learner, step)
        else:
            await self._fold(learner, stretch)

    async def _fold(self, learner: DeltaLearner, stretch: Sequence[LogMessage]) -> None:
        """Fold events; earlier ones of users who are new here come from the archive, for which this waits."""
        events = decode_batch((message.position, message.payload) for message in stretch).batch
        unknown = list(learner.unknown_users(events).items())
        if unknown:
            await self._archived(learner.recalled_from)
        for start in range(0, len(unknown), _RECALLED_TOGETHER):
            some = dict(unknown[start : start + _RECALLED_TOGETHER])
            recall = partial(self._tools.archive.events_before, some)
            learner.recall(await patiently(recall, UNAVAILABLE, math.inf))
        learner.fold(events)

    async def _archived(self, position: int) -> None:
        """Wait until the archive holds the log up to a position."""
        while position and await patiently(self._tools.archive.position, UNAVAILABLE, math.inf) < position:
            await asyncio.sleep(_ARCHIVE_POLL_SECONDS)

    async def _tell(self, champion: _Champion) -> None:
        """Publish all that is there to tell, and now and then that there is nothing."""
        since, champion.since = champion.since or time.time(), 0.0
        since_ms = int(since * 1000)
        while (delta := champion.learner.next_delta(since_ms)) is not None:
            await self._publish(champion, delta)
        if self._is_quiet(champion) and (delta := champion.learner.sign_of_life(since_ms)) is not None:
            await self._publish(champion, delta)

    def _is_quiet(self, champion: _Champion) -> bool:
        kept = self._tools.kept_seconds
        return kept > 0 and time.monotonic() - champion.told_at > _QUIET_SHARE * kept

    async def _publish(self, champion: _Champion, delta: Delta) -> None:
        tools = self._tools
        champion.behind = await publish_delta(tools.connection, tools.names, delta, champion.behind)
        champion.told_at = time.monotonic()
        DELTAS.inc()
        DELTA_POSITION.set(delta.to_position)


def _stretches(batch: Sequence[LogMessage], names: Names) -> list[tuple[str, list[LogMessage]]]:
    """Neighbours of one kind together, in log order: "events", "items" or "erasures"."""
    prefix = names.subject("")
    stretches: list[tuple[str, list[LogMessage]]] = []
    for message in batch:
        kind = message.subject.removeprefix(prefix).partition(".")[0]
        if not stretches or stretches[-1][0] != kind:
            stretches.append((kind, []))
        stretches[-1][1].append(message)
    return stretches


def _forget(learner: DeltaLearner, step: ErasureStep | None) -> None:
    if step is not None and not step.complete:
        learner.forget(step.receipt.user_key)
