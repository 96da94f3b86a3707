"""Deletes bundles that nobody will return to, and their deltas: an hourly model would fill any store in the end. Rows
of the registry stay, and say what a model was and why it was or was not promoted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.trainer.patience import first_line
from services.trainer.registry.promoting import Promoting
from services.trainer.runs.publishing import LOG_AWAY
from services.trainer.runs.runs import Runs
from services.trainer.runs.training_run import Tools
from shared.adapters.jetstream.deltas import delete_deltas
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.registry import RegisteredModel
from shared.domain.models.promotions import predecessors

_log = structlog.get_logger("bundles")
_LOOK_SECONDS = 60.0


class BundleRetention:
    """Keeps the champion's bundle, those of the newest models, and those of the champions that a rollback may return
    to, `most` of each. What the registry does not know may be about to enter it, and stays."""

    def __init__(self, tools: Tools, runs: Runs, promoting: Promoting, most: int) -> None:
        self._tools, self._runs, self._promoting, self._most = tools, runs, promoting, most

    async def run(self) -> None:
        """Look until cancelled; what cannot be deleted now is deleted later."""
        while True:
            try:
                if not self._runs.running:  # which may be storing a bundle that was there before
                    await self.delete_old()
            except DEFECTS:
                raise
            except (*UNAVAILABLE, *LOG_AWAY) as error:
                _log.warning("old bundles are deleted later", reason=first_line(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def delete_old(self) -> None:
        """Delete what is not kept, and what was never finished. Raises what NATS and PostgreSQL raise while they are
        away."""
        await self._tools.store.delete_unfinished()
        stored = await self._tools.store.digests()
        async with self._promoting.choosing:
            for model in await self._old(stored):
                await delete_deltas(self._tools.connection, self._tools.names, model.model_version)
                await self._tools.store.delete(model.bundle_digest)
                _log.info("bundle deleted", model_version=model.model_version)

    async def _old(self, digests: Sequence[str]) -> list[RegisteredModel]:
        registry = self._tools.registry
        newest = await registry.list_models(self._most)
        kept = {model.model_version for model in newest}
        kept.update(predecessors(await registry.promotions.history())[: self._most])
        stored = await registry.models_of(digests)
        return [model for model in stored if model.model_version not in kept and not model.champion]
