"""Measures how far traffic has moved away from what the champion learned from.

Decision: the newest events that the champion learned stand for all of them, and as many of the newest events behind
them for today's traffic: a look costs the same however long the log is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import structlog
from prometheus_client import Gauge

from services.trainer.patience import first_line
from services.trainer.runs.publishing import LOG_AWAY
from services.trainer.runs.training_run import Tools
from shared.adapters.codecs.bundle import CorruptBundleError, unpack
from shared.adapters.jetstream.bundle_store import BundleNotFoundError
from shared.adapters.postgres.archived_traffic import ArchivedTraffic
from shared.adapters.postgres.database import DEFECTS, UNAVAILABLE
from shared.adapters.postgres.registry import RegisteredModel
from shared.domain.metrics.drift import LONG, MATTERS, Drift, Traffic, drift_of, lengths_before

_log = structlog.get_logger("drift")
MOST_EVENTS = 10_000
MOST_USERS = 1_000
"""Of whose histories the length is looked up: those of the lowest keys, which are hashes and so a fair sample."""
PSI = Gauge(
    "freshet_drift_psi",
    "Population stability index of newest traffic against what the champion learned from; above 0.2 it matters.",
    ["of"],
)
NEW_SHARE = Gauge(
    "freshet_drift_new_item_share", "Share of newest events about items the champion has no row for."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """What a champion learned from. table_keys: `(V,) uint64`, ascending, the items with rows."""

    model: RegisteredModel
    table_keys: np.ndarray
    traffic: Traffic


class FoundDrift(NamedTuple):
    """What was found last, and of which model."""

    model_version: str
    drift: Drift


class DriftWatch:
    """Looks at the archive now and then; `found` is what was found last."""

    def __init__(
        self, tools: Tools, archived: ArchivedTraffic, history: Collection[int], least_events: int
    ) -> None:
        """history: codes of event types that enter a history. least_events: so many new ones are needed for a
        verdict."""
        self._tools, self._archived, self._history = tools, archived, history
        self._least = least_events
        self._learned: _Learned | None = None
        self._found: Drift | None = None
        self._looked_at = 0

    @property
    def found(self) -> FoundDrift | None:
        """None without a champion, with too few new events, and until the first look."""
        if self._found is None or self._learned is None:
            return None
        return FoundDrift(self._learned.model.model_version, self._found)

    @property
    def _psi(self) -> float:
        return self._found.psi if self._found else 0.0

    async def run(self, seconds: float) -> None:
        """Look every so many seconds until cancelled; what cannot be looked at now is looked at the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except DEFECTS:
                raise
            except (*UNAVAILABLE, *LOG_AWAY, BundleNotFoundError, CorruptBundleError) as error:
                _log.warning("drift cannot be measured now", reason=first_line(error))

    async def look(self) -> Drift | None:
        """Measure, and tell the gauges. None without a champion, or with too few new events.

        Raises what the archive, the registry and the bundle store raise.
        """
        champion = await self._tools.registry.champion()
        position = await self._tools.archive.position()
        if champion is None:
            return self._tell(None)
        if self._learned is None or self._learned.model.bundle_digest != champion.bundle_digest:
            self._tell(None)
            self._learned = await self._what_was_learned(champion)
        elif position == self._looked_at:
            return self._found
        newer = await self._traffic(champion.trained_to_position, position)
        self._looked_at = position
        return self._tell(self._measured(self._learned, newer))

    def _measured(self, learned: _Learned, newer: Traffic) -> Drift | None:
        if len(newer) < self._least or not len(learned.traffic):
            return None
        return drift_of(learned.traffic, newer, learned.table_keys)

    async def _what_was_learned(self, champion: RegisteredModel) -> _Learned:
        packed = await self._tools.store.get(champion.bundle_digest)
        bundle = await asyncio.to_thread(unpack, packed)
        traffic = await self._traffic(0, champion.trained_to_position)
        return _Learned(champion, np.sort(bundle.item_keys), traffic)

    async def _traffic(self, after: int, to_position: int) -> Traffic:
        """The newest events of a stretch of the log, with what was known of some of their users."""
        columns = await self._archived.newest(after, to_position, self._history, MOST_EVENTS)
        users = np.unique(columns.user_key)[:MOST_USERS]
        sample = columns.user_key[np.isin(columns.user_key, users)]
        first = int(columns.position[0]) if len(columns) else 0
        earlier = await self._archived.history_lengths(users.tolist(), first, self._history, LONG)
        return Traffic(columns.item_key, columns.event_type, lengths_before(sample, earlier))

    def _tell(self, found: Drift | None) -> Drift | None:
        """Note what was found; say so once when it begins to matter."""
        before, self._found = self._psi, found
        of = {"items": 0.0, "event_types": 0.0, "history_lengths": 0.0}
        of.update({name: getattr(found, name) for name in of} if found else {})
        for name, value in of.items():
            PSI.labels(name).set(value)
        NEW_SHARE.set(found.new_share if found else 0.0)
        if self._psi > MATTERS >= before and self._learned:
            told = {name: round(value, 3) for name, value in of.items()}
            _log.warning("traffic drifts", model_version=self._learned.model.model_version, **told)
        return found
