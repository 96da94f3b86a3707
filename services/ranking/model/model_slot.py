"""The model in service, and which of its rows the catalogue lets be recommended. Swapped as one reference."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from prometheus_client import Counter, Gauge

from services.ranking.model.handover import give_back
from services.ranking.model.scorer import Scorer
from shared.adapters.jetstream.catalogue import Catalogue, KnownItems

REFUSED_KEPT = 20
RETIRE_SECONDS = 1.0
"""Longer than almost every request that has begun with the old model."""
MODEL_SWAPS = Counter("freshet_model_swaps_total", "Models that came into service.")
MODELS_REFUSED = Counter("freshet_models_refused_total", "Bundles that did not pass a check.")
MODEL_SINCE = Gauge("freshet_model_serving_since_seconds", "When the model in service came into service.")


@dataclass(frozen=True, eq=False)
class ServingModel:
    """A scorer and what the catalogue says about its rows at one moment.

    withheld (V,) float32: 0 for rows that may be recommended, -inf for the others; added to scores.
    """

    scorer: Scorer
    create_time: datetime
    serving_time: datetime
    catalogue_version: int
    withheld: np.ndarray

    @property
    def version(self) -> str:
        """The model version."""
        return self.scorer.version

    @property
    def recommendable(self) -> int:
        """How many rows may be recommended."""
        return int((self.withheld == 0).sum())


@dataclass(frozen=True)
class Refusal:
    """A bundle that did not come into service."""

    model_version: str
    reason: str
    refuse_time: datetime


@dataclass(frozen=True)
class DeltaProgress:
    """How far the model in service has come by its deltas. sequence: of the last one applied, 0 for none; position: of
    the log, that it reaches to; refused_reason: of one that came behind it, empty for none."""

    sequence: int = 0
    position: int = 0
    refused_reason: str = ""


class ModelSlot:
    """Holds the model in service. A request takes `current` once and keeps it to its end. swapped: set by each swap.
    outdated: set while the model in service is to be loaded anew, without the deltas that it has taken."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.current: ServingModel | None = None
        self.deltas = DeltaProgress()
        self.swapped = asyncio.Event()
        self.outdated = asyncio.Event()
        self.refused: deque[Refusal] = deque(maxlen=REFUSED_KEPT)
        self.swap_count = 0
        self._catalogue = catalogue
        self._retiring: set[asyncio.Task[None]] = set()

    async def swap(self, scorer: Scorer, create_time: datetime) -> None:
        """Put a checked and warm scorer into service. What takes time is done before, and beside the event loop."""
        view = await asyncio.to_thread(
            view_of, scorer, self._catalogue.known(), create_time, datetime.now(UTC)
        )
        if self.current is not None:
            self._retire(self.current)
        self.current = view
        self.deltas = DeltaProgress()
        self.swap_count += 1
        self.outdated.clear()
        self.swapped.set()
        MODEL_SWAPS.inc()
        MODEL_SINCE.set(time.time())

    def _retire(self, model: ServingModel) -> None:
        """Keep a model until no request is expected to hold it. Decision: to give back its hundred megabytes takes a
        twentieth of a second, and whoever drops it last would wait for that."""
        task = asyncio.create_task(_given_back([model]))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def renew(self, scorer: Scorer, deltas: DeltaProgress) -> None:
        """The model in service has taken deltas; it is the same one, and only its new items are looked up: a look at
        all would hold up calls, and comes beside them with the next change of the catalogue."""
        current, self.deltas = self.current, deltas
        if current is not None and scorer is not current.scorer:
            added = scorer.item_keys[len(current.withheld) :].tolist()
            allowed = np.array([self._catalogue.may_be_recommended(key) for key in added], bool)
            withheld = np.concatenate([current.withheld, _withheld(allowed)])
            self.current = replace(current, scorer=scorer, withheld=withheld)

    def refuse(self, model_version: str, reason: str) -> None:
        """Note that a bundle was not taken."""
        self.refused.appendleft(Refusal(model_version, reason, datetime.now(UTC)))
        MODELS_REFUSED.inc()

    async def refresh(self) -> None:
        """Take in what the catalogue has learned since, and what can be had by now."""
        self._catalogue.admit(int(time.time() * 1000))
        current = self.current
        if current is None or current.catalogue_version == self._catalogue.version:
            return
        known, times = self._catalogue.known(), (current.create_time, current.serving_time)
        view = await asyncio.to_thread(view_of, current.scorer, known, *times)
        if self.current is current:  # else it was swapped or renewed meanwhile, and is looked at again
            self.current = view


async def _given_back(last: list[ServingModel]) -> None:
    """last: the only other reference to a model, which goes with it."""
    memory = last[0].scorer.memory
    await asyncio.sleep(RETIRE_SECONDS)
    await asyncio.to_thread(last.clear)
    if memory is not None:
        await give_back(memory)


def view_of(scorer: Scorer, known: KnownItems, create_time: datetime, serving_time: datetime) -> ServingModel:
    """The scorer in service beside what the catalogue knows."""
    allowed = np.sort(known.keys[known.allowed])
    place = np.minimum(np.searchsorted(allowed, scorer.item_keys), max(len(allowed) - 1, 0))
    found = allowed[place] == scorer.item_keys if len(allowed) else np.zeros(len(place), bool)
    return ServingModel(scorer, create_time, serving_time, known.version, _withheld(found))


def _withheld(allowed: np.ndarray) -> np.ndarray:
    return np.where(allowed, np.float32(0), np.float32(-np.inf))
