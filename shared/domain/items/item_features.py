"""How the features of items are read from their folded counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shared.domain.items.co_visits import merged_neighbours
from shared.domain.items.item_behaviours import CLICK, IMPRESSION, KINDS, PURCHASE, SIGNAL
from shared.domain.items.item_counters import trend_scores
from shared.domain.presets.preset import DomainPreset
from shared.domain.users.user_features import ItemFacts
from shared.domain.windows import WINDOWS, sliding

PRIOR_RATE, PRIOR_EVENTS = 0.02, 50.0
"""Smoothed rates are drawn to this rate with the weight of so many events (the mean of a Beta posterior)."""


class ItemReading(NamedTuple):
    """An item's merged counters (1,) ITEM_SUM and what is needed to read them. facts: of an item, by key."""

    record: np.ndarray
    preset: DomainPreset
    facts: Callable[[int], ItemFacts]

    @property
    def time_ms(self) -> int:
        """The newest event time."""
        return int(self.record["time_ms"][0])


def impressions(reading: ItemReading) -> dict[str, float]:
    """How often it was shown, by window."""
    return _windowed(reading, IMPRESSION)


def clicks(reading: ItemReading) -> dict[str, float]:
    """How often it was opened or played, by window."""
    return _windowed(reading, CLICK)


def purchases(reading: ItemReading) -> dict[str, float]:
    """How often it was bought or completed, less what was taken back, by window."""
    return _windowed(reading, PURCHASE)


def click_rate(reading: ItemReading) -> dict[str, float]:
    """Smoothed clicks per impression, by window."""
    return _rates(clicks(reading), impressions(reading))


def purchase_rate(reading: ItemReading) -> dict[str, float]:
    """Smoothed purchases per click, by window."""
    return _rates(purchases(reading), clicks(reading))


def trending_score(reading: ItemReading) -> dict[str, float]:
    """Weighted events a day; see `trend_scores`."""
    return {"": float(trend_scores(reading.record, reading.preset, reading.time_ms)[0])}


def trending_velocity(reading: ItemReading) -> dict[str, float]:
    """Weighted events a day over the last day, divided by those over 7 days: above 1 it rises. 0 without any."""
    signal = _windowed(reading, SIGNAL)
    week = signal["7d"] / 7.0
    return {"": signal["1d"] / week if week > 0 else 0.0}


def item_age(reading: ItemReading) -> dict[str, float]:
    """Seconds from when it could first be had, or from its first event, to its newest event."""
    since_ms = reading.facts(int(reading.record["item_key"][0])).available_ms or int(
        reading.record["first_time_ms"][0]
    )
    return {"": max(0, reading.time_ms - since_ms) / 1000.0}


def co_visits(reading: ItemReading) -> dict[str, float]:
    """Items that came right before or behind it in a visit, the most frequent first."""
    keys, counts = merged_neighbours(reading.record)
    pairs = zip(keys.tolist(), counts.tolist(), strict=True)
    return {reading.facts(key).item_id or f"{key:016x}": float(count) for key, count in pairs}


def _windowed(reading: ItemReading, kind: str) -> dict[str, float]:
    counts = sliding(reading.record["windows"], reading.time_ms)[0, :, KINDS.index(kind)]
    return dict(zip(WINDOWS, counts.tolist(), strict=True))


def _rates(part: dict[str, float], whole: dict[str, float]) -> dict[str, float]:
    return {
        window: (part[window] + PRIOR_RATE * PRIOR_EVENTS) / (whole[window] + PRIOR_EVENTS)
        for window in WINDOWS
    }
