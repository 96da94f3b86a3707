"""Keeps the champion in service: the registry says which model it is, the MODELS stream says when to look.

A champion that is refused leaves the one before it in service, also where that has yet to be loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client

from freshet.log.v1.log_pb2 import ModelEvent
from services.ranking.model.loading import ModelRefusedError, ModelUnavailableError
from services.ranking.model.model_slot import ModelSlot
from services.ranking.model.scorer import Scorer
from shared.adapters.jetstream.log_reader import LogMessage, LogReader, LogSource
from shared.adapters.jetstream.streams import Names, last_sequence_of
from shared.adapters.postgres.database import UNAVAILABLE
from shared.adapters.postgres.registry import Registry
from shared.domain.models.manifest import model_version
from shared.domain.models.promotions import predecessors

_log = structlog.get_logger("model_watch")
RETRY_SECONDS = 2.0
_PROMOTED = "models.v1.promoted"
MOST_BEFORE = 5
"""Champions before the present one that are tried when it is refused and nothing serves."""
CATALOGUE_REFRESH_SECONDS = 0.5
DATABASE_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class _Champion:
    digest: str
    create_time: datetime


@dataclass
class ModelWatch:
    """Has it loaded, checked and warmed, and swaps. load: by digest and share of the time, as `ModelLoader`. share: for
    a model that comes beside one that serves; the first one is in a hurry."""

    slot: ModelSlot
    registry: Registry
    load: Callable[[str, float], Awaitable[Scorer]]
    share: float = 1.0
    _announced: _Champion | None = None
    _refused: set[str] = field(default_factory=set)
    _looked: asyncio.Event = field(default_factory=asyncio.Event)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, connection: Client, names: Names) -> None:
        """Look at each announcement, and once more after a failure, until cancelled. What was refused is not loaded
        again before the next announcement."""
        async for _ in self._announcements(connection, names):
            self._refused.clear()
            while not await self._look():
                self._looked.set()
                await asyncio.sleep(RETRY_SECONDS)
            self._looked.set()

    async def tried(self, connection: Client, names: Names) -> None:
        """Wait until the champion serves, or would not at the first attempt; not when none was ever announced."""
        if await last_sequence_of(connection, names.stream("MODELS"), names.subject(_PROMOTED)):
            await self._looked.wait()

    async def renew(self) -> None:
        """Load the model in service anew whenever it is outdated, until cancelled. It serves on meanwhile."""
        while True:
            await self.slot.outdated.wait()
            try:
                async with self._one_at_a_time:
                    await self._bring_anew()
            except ModelUnavailableError as error:
                _log.warning("model cannot be loaded anew now", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _bring_anew(self) -> None:
        current = self.slot.current
        if current is None or not self.slot.outdated.is_set():
            return  # another came into service while this waited
        if not await self._bring(_Champion(current.scorer.digest, current.create_time)):
            self.slot.outdated.clear()

    async def refresh_catalogue(self) -> None:
        """Let new items of the catalogue become recommendable, until cancelled."""
        while True:
            await asyncio.sleep(CATALOGUE_REFRESH_SECONDS)
            await self.slot.refresh()

    async def _announcements(self, connection: Client, names: Names) -> AsyncIterator[None]:
        subjects = [names.subject(_PROMOTED)]
        source = LogSource(names.stream("MODELS"), subjects, last_per_subject=True, again=True)
        async for batch in LogReader(connection, source).batches():
            self._note(batch[-1])
            yield

    def _note(self, message: LogMessage) -> None:
        """Remember what was announced. A message that is no announcement still wakes: the registry is asked."""
        try:
            event = ModelEvent.FromString(message.payload)
            self._announced = _Champion(event.bundle_digest, event.decide_time.ToDatetime(tzinfo=UTC))
        except (DecodeError, ValueError) as error:
            _log.error("announcement cannot be read", position=message.position, reason=str(error))

    async def _look(self) -> bool:
        """Bring the champion into service. False when it should be tried again."""
        async with self._one_at_a_time:
            return await self._bring_champion()

    async def _bring_champion(self) -> bool:
        champion = await self._champion()
        if champion is None or self._serves(champion.digest):
            return True
        try:
            if not await self._bring(champion) and self.slot.current is None:
                await self._bring_one_before()
        except ModelUnavailableError as error:
            _log.warning("model cannot be loaded now", reason=str(error))
            return False
        return True

    async def _bring(self, model: _Champion) -> bool:
        """Put a model into service. False when it is refused, which is noted. Raises ModelUnavailableError."""
        if model.digest in self._refused:
            return False
        version = model_version(model.digest)
        try:
            scorer = await self.load(model.digest, self.share if self.slot.current else 1.0)
        except ModelRefusedError as error:
            self._refused.add(model.digest)
            self.slot.refuse(version, str(error))
            _log.error("model refused", model_version=version, reason=str(error))
            return False
        await self.slot.swap(scorer, model.create_time)
        served = scorer.precision._asdict()
        _log.info("model swapped", model_version=version, items=len(scorer.item_keys), **served)
        return True

    async def _bring_one_before(self) -> None:
        """A champion that is refused never displaces a good one, not in a process that starts later either: there the
        newest of those before it serves that can. Raises ModelUnavailableError."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
                before = predecessors(await self.registry.promotions.history())[:MOST_BEFORE]
                models = [await self.registry.model(version) for version in before]
        except UNAVAILABLE as error:
            raise ModelUnavailableError(
                f"the registry cannot be asked for the one before: {error}"
            ) from error
        for model in models:
            if model and await self._bring(_Champion(model.bundle_digest, model.create_time)):
                return

    async def _champion(self) -> _Champion | None:
        """From the registry; while PostgreSQL is away, from the newest announcement."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
                model = await self.registry.champion()
        except UNAVAILABLE as error:
            _log.warning(
                "registry cannot be asked; the announcement counts", reason=str(error).splitlines()[:1]
            )
            return self._announced
        return _Champion(model.bundle_digest, model.create_time) if model else None

    def _serves(self, digest: str) -> bool:
        current = self.slot.current
        return current is not None and current.scorer.digest == digest
