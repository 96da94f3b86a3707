"""How the features of users are read from their folded state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from shared.domain.events.event import EVENT_TYPE_CODES, EventType
from shared.domain.presets.preset import DAY_SECONDS, DomainPreset
from shared.domain.users.user_record import UserView
from shared.domain.windows import WINDOWS

USER_WINDOWS = ("1m", "1h", "1d", "7d")
_QUARTILES = {"p25": 25, "p50": 50, "p75": 75}
_LN2 = float(np.log(2.0))


class ItemFacts(NamedTuple):
    """What the catalogue says about an item, as far as features need it. price: nan for none. available_ms: since when,
    0 for always."""

    item_id: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""
    price: float = float("nan")
    available_ms: int = 0


class UserReading(NamedTuple):
    """A user's state and what is needed to read it. facts: of an item, by key."""

    user: UserView
    preset: DomainPreset
    facts: Callable[[int], ItemFacts]

    @property
    def ages_seconds(self) -> np.ndarray:
        """Age of each history entry (n,) float64 as of the user's newest event, not below 0."""
        return np.maximum(self.user.last_time_ms - self.user.history["time_ms"], 0) / 1000.0


def event_count(reading: UserReading) -> dict[str, float]:
    """Events by type, over all time, less what was taken back."""
    return _by_type(reading.user.event_count)


def event_count_in_window(reading: UserReading) -> dict[str, float]:
    """History entries by type and window, as "click:1h"; exact as long as the history reaches back that far."""
    ages, types = reading.ages_seconds, reading.user.history["event_type"]
    counts: dict[str, float] = {}
    for window in USER_WINDOWS:
        counted = np.bincount(types[ages < WINDOWS[window]], minlength=EVENT_TYPE_CODES)
        counts |= {f"{word}:{window}": count for word, count in _by_type(counted).items()}
    return counts


def event_rate(reading: UserReading) -> dict[str, float]:
    """Events a day by type, each counting half as much per half-life of its type: sum 2^(-age / h) ln 2 / h."""
    decayed = np.bincount(
        reading.user.history["event_type"], weights=_decay(reading), minlength=EVENT_TYPE_CODES
    )
    return _by_type(decayed * _LN2 / (reading.preset.half_life_ms / (DAY_SECONDS * 1000.0)))


def recency(reading: UserReading) -> dict[str, float]:
    """Seconds since the newest history entry of each type."""
    newest = np.full(EVENT_TYPE_CODES, np.inf)
    np.minimum.at(newest, reading.user.history["event_type"], reading.ages_seconds)
    return {
        EventType(code).word: float(newest[code]) for code in np.flatnonzero(np.isfinite(newest)).tolist()
    }


def tenure(reading: UserReading) -> dict[str, float]:
    """Seconds from the user's first event to the newest."""
    return {"": (reading.user.last_time_ms - reading.user.first_time_ms) / 1000.0}


def mean_value(reading: UserReading) -> dict[str, float]:
    """Mean value of history entries that have one, by type: the mean rating, the mean price paid."""
    values, types = reading.user.history["value"].astype(np.float64), reading.user.history["event_type"]
    has = ~np.isnan(values)
    count = np.bincount(types[has], minlength=EVENT_TYPE_CODES)
    total = np.bincount(types[has], weights=values[has], minlength=EVENT_TYPE_CODES)
    codes = np.flatnonzero(count).tolist()
    return {EventType(code).word: float(total[code] / count[code]) for code in codes}


def price_band(reading: UserReading) -> dict[str, float]:
    """Quartiles of the catalogue's prices of the items that the user acted on with liking."""
    prices = np.array([facts.price for facts, _ in _liked(reading)])
    prices = prices[~np.isnan(prices)]
    if not len(prices):
        return {}
    return {label: float(np.percentile(prices, share)) for label, share in _QUARTILES.items()}


def category_affinity(reading: UserReading) -> dict[str, float]:
    """Each category's share of the user's decayed weighted events that say liking; they sum to 1."""
    return _shares((each, weight) for facts, weight in _liked(reading) for each in facts.categories)


def brand_affinity(reading: UserReading) -> dict[str, float]:
    """The same for brands."""
    return _shares((facts.brand, weight) for facts, weight in _liked(reading) if facts.brand)


def session_event_count(reading: UserReading) -> dict[str, float]:
    """Events of the newest session."""
    return {"": float(reading.user.session_event_count)}


def session_age(reading: UserReading) -> dict[str, float]:
    """Seconds from the first to the newest event of the newest session, not below 0."""
    return {"": max(0, reading.user.last_time_ms - reading.user.session_start_ms) / 1000.0}


def session_history(reading: UserReading) -> dict[str, float]:
    """Items of the newest session, the oldest first, with how long ago they were last acted on."""
    entries = len(reading.user.history) - reading.user.session_entries
    newest = zip(
        reading.user.history["item_key"][entries:].tolist(), reading.ages_seconds[entries:], strict=True
    )
    ages: dict[str, float] = {}
    for key, age in newest:
        label = reading.facts(key).item_id or f"{key:016x}"
        ages[label] = min(float(age), ages.get(label, float(age)))  # a late event is not the last one
    return ages


def _decay(reading: UserReading) -> np.ndarray:
    """What each history entry still counts (n,) float64."""
    half_life_seconds = reading.preset.half_life_ms[reading.user.history["event_type"]] / 1000.0
    return np.exp2(-reading.ages_seconds / half_life_seconds)


def _liked(reading: UserReading) -> Iterator[tuple[ItemFacts, float]]:
    """The items of history entries that say liking, with their decayed weights."""
    weights = reading.preset.weight[reading.user.history["event_type"]] * _decay(reading)
    for key, weight in zip(reading.user.history["item_key"].tolist(), weights.tolist(), strict=True):
        if weight > 0:
            yield reading.facts(key), weight


def _shares(weights: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Sums by label, divided by their total, the largest first, ties by label."""
    sums: dict[str, float] = defaultdict(float)
    for label, weight in weights:
        sums[label] += weight
    total = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))
    return {label: weight / total for label, weight in ordered}


def _by_type(numbers: np.ndarray) -> dict[str, float]:
    """Those of `numbers` (24,) that are not 0, by the word of their event type."""
    return {EventType(code).word: float(numbers[code]) for code in np.flatnonzero(numbers).tolist()}
