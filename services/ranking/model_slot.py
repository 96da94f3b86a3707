"""The model in service, with the item ids that the catalogue gives its rows. Swapped as one reference."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from prometheus_client import Counter, Gauge

from services.ranking.scorer import Scorer
from shared.adapters.catalogue import Catalogue

REFUSED_KEPT = 20
MODEL_SWAPS = Counter("freshet_model_swaps_total", "Models that came into service.")
MODELS_REFUSED = Counter("freshet_models_refused_total", "Bundles that did not pass a check.")
MODEL_SINCE = Gauge("freshet_model_serving_since_seconds", "When the model in service came into service.")


@dataclass(frozen=True, eq=False)
class ServingModel:
    """A scorer and what the catalogue says about its rows at one moment.

    item_ids: by row, None where the catalogue does not know the item. withheld (V,) float32: 0 for rows that may be
    recommended, -inf for the others; added to scores.
    """

    scorer: Scorer
    create_time: datetime
    serving_time: datetime
    catalogue_version: int
    item_ids: list[str | None]
    withheld: np.ndarray

    @property
    def version(self) -> str:
        """The model version."""
        return self.scorer.bundle.version

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
    """Holds the model in service. A request takes `current` once and keeps it to its end. swapped: set by each swap."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.current: ServingModel | None = None
        self.deltas = DeltaProgress()
        self.swapped = asyncio.Event()
        self.refused: deque[Refusal] = deque(maxlen=REFUSED_KEPT)
        self.swap_count = 0
        self._catalogue = catalogue

    def swap(self, scorer: Scorer, create_time: datetime) -> None:
        """Put a checked and warm scorer into service."""
        self.current = self._view(scorer, create_time, datetime.now(UTC))
        self.deltas = DeltaProgress()
        self.swap_count += 1
        self.swapped.set()
        MODEL_SWAPS.inc()
        MODEL_SINCE.set(time.time())

    def renew(self, scorer: Scorer, deltas: DeltaProgress) -> None:
        """The model in service has taken deltas; it is the same one, and its new items are looked up."""
        current, self.deltas = self.current, deltas
        if current is not None and scorer is not current.scorer:
            self.current = self._view(scorer, current.create_time, current.serving_time)

    def refuse(self, model_version: str, reason: str) -> None:
        """Note that a bundle was not taken."""
        self.refused.appendleft(Refusal(model_version, reason, datetime.now(UTC)))
        MODELS_REFUSED.inc()

    def refresh(self) -> None:
        """Take in what the catalogue has learned since."""
        current = self.current
        if current is not None and current.catalogue_version != self._catalogue.version:
            self.current = self._view(current.scorer, current.create_time, current.serving_time)

    def _view(self, scorer: Scorer, create_time: datetime, serving_time: datetime) -> ServingModel:
        version = self._catalogue.version
        keys = scorer.item_keys.tolist()
        item_ids = [self._catalogue.id_of(key) for key in keys]
        allowed = np.fromiter(map(self._catalogue.may_be_recommended, keys), bool, len(keys))
        withheld = np.where(allowed, np.float32(0), np.float32(-np.inf))
        return ServingModel(scorer, create_time, serving_time, version, item_ids, withheld)
