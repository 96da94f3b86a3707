"""From a bundle's file to a registered model that those who serve know of.

Order is what keeps a crash harmless: the bundle is in the store before the registry names it, and the
registry has decided before anybody is told. A crash in between leaves a bundle that nobody names, or a
champion that nobody was told of; the next start tells them.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Counter

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.trainer.v1.trainer_pb2 import TrainingRun
from services.trainer.patience import StillAwayError, patiently
from services.trainer.policies.gate import Decision
from services.trainer.processes.reports import Finished
from services.trainer.runs.progress import CHAMPION_NDCG
from shared.adapters.jetstream.bundle_store import BundleStore
from shared.adapters.jetstream.streams import Names
from shared.adapters.postgres.database import UNAVAILABLE
from shared.adapters.postgres.promotions import ChampionChangedError
from shared.adapters.postgres.registry import RegisteredModel, Registry, announce
from shared.domain.models.manifest import model_version
from shared.domain.models.promotions import Cause, Promotion, rolled_back

_log = structlog.get_logger("publishing")
LOG_AWAY = (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError)
"""What a call raises while NATS is away."""
PROMOTIONS = Counter("freshet_promotions_total", "Times that a model became champion, by cause.", ["cause"])
_CANDIDATE_NDCG = "ndcg@10"
_TELL_SECONDS = 30.0


class Publisher:
    """Publishes models."""

    def __init__(self, connection: Client, names: Names, registry: Registry, store: BundleStore) -> None:
        self._connection = connection
        self._names = names
        self._registry = registry
        self._store = store
        self._telling: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def publish(
        self, run: TrainingRun, finished: Finished, decision: Decision, wait_seconds: float
    ) -> Decision:
        """Store, register, announce. Returns what was decided in the end: a champion that came out of
        training once more stays what it is. Raises StillAwayError when NATS or PostgreSQL was away too long.
        """
        content = await asyncio.to_thread(Path(finished.bundle).read_bytes)
        await patiently(lambda: self._store.put(finished.digest, content), LOG_AWAY, wait_seconds)
        champion = await patiently(self._registry.champion, UNAVAILABLE, wait_seconds)
        if champion and champion.bundle_digest == finished.digest:
            return Decision(False, f"training gave champion {champion.model_version} again, bit by bit")
        try:
            model = await patiently(
                lambda: self._registered(run, finished, decision), UNAVAILABLE, wait_seconds
            )
        except StillAwayError:
            await self.tell(0.0)  # the answers may be what was lost, not the registration
            raise
        await (self.tell() if model.champion else self._told(model))
        return Decision(model.promoted, model.reason)

    async def _registered(self, run: TrainingRun, finished: Finished, decision: Decision) -> RegisteredModel:
        """The model as it was registered in the end. What was rolled back, or was judged against a champion that is
        none any more, is not promoted whatever the gate said."""
        version = model_version(finished.digest)
        if decision.promoted and version in rolled_back(await self._registry.promotions.history()):
            decision = Decision(False, f"training gave {version} again, bit by bit, which was rolled back")
        model = _model(run, finished, decision)
        try:
            await self._registry.register(model, finished.champion_version)
        except ChampionChangedError as error:
            against = finished.champion_version or "no champion"
            decision = Decision(False, f"it was judged against {against}, but {error}: {decision.reason}")
            model = _model(run, finished, decision)
            await self._registry.register(model)
        if model.champion:
            PROMOTIONS.labels(Cause.TRAINING).inc()
        return model

    async def announce(self, model: RegisteredModel, promotion: Promotion | None = None) -> None:
        """Tell those who serve. promotion: the decision that made it champion; None for that of its training."""
        event = ModelEvent(
            model_version=model.model_version,
            bundle_digest=model.bundle_digest,
            promoted=model.champion,
            reason=promotion.reason if promotion else model.reason,
        )
        event.decide_time.FromDatetime(promotion.promote_time if promotion else model.create_time)
        await announce(self._connection, self._names, event)
        show(model)

    async def tell(self, seconds: float = _TELL_SECONDS) -> None:
        """Tell who is champion; what takes longer goes on behind the call, also when the caller has gone."""
        async with self._turn:
            await self.close()
            self._telling = asyncio.create_task(self._tell_in_the_end(), name="tell the champion")
        await asyncio.wait({self._telling}, timeout=seconds)

    async def close(self) -> None:
        """Give up telling what could not be told yet; the next start tells it."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})

    async def _tell_in_the_end(self) -> None:
        await patiently(self._tell_champion, (*LOG_AWAY, *UNAVAILABLE), math.inf)

    async def _tell_champion(self) -> None:
        """Tell who the champion is now, and why. Raises what NATS and PostgreSQL raise while they are away."""
        champion = await self._registry.champion()
        if champion is None:
            return
        history = reversed(await self._registry.promotions.history())
        newest = (each for each in history if each.model_version == champion.model_version)
        await self.announce(champion, next(newest, None))

    async def _told(self, model: RegisteredModel) -> None:
        """Tell of a model that nobody is to serve. The registry has it: that nobody could be told does not undo it."""
        try:
            await patiently(lambda: self.announce(model), LOG_AWAY, _TELL_SECONDS)
        except StillAwayError as error:
            _log.error("model not announced", model_version=model.model_version, reason=str(error))


def show(model: RegisteredModel) -> None:
    """Show the champion's metric."""
    if model.champion and _CANDIDATE_NDCG in model.metrics:
        CHAMPION_NDCG.set(model.metrics[_CANDIDATE_NDCG])


def _model(run: TrainingRun, finished: Finished, decision: Decision) -> RegisteredModel:
    return RegisteredModel(
        model_version=model_version(finished.digest),
        bundle_digest=finished.digest,
        run_id=run.run_id,
        create_time=datetime.now(UTC),
        champion=decision.promoted,
        promoted=decision.promoted,
        reason=decision.reason,
        trained_to_position=run.trained_to_position,
        item_count=finished.item_count,
        metrics=finished.metrics,
        compared_with=finished.evidence.champion_version,
        continued_from=finished.continued_from,
    )
