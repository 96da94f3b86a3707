"""The features: each declared once, with its version, entity, windows, and how it is read from folded state.

To add one: write a function that reads it, declare it in USER_FEATURES or ITEM_FEATURES, and write one test. State that
is folded for them lies in `user_record` and `item_counters`; a new kind of behaviour to count of items is one line in
`item_behaviours`. All are as of the newest event time of their user or item, never of a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.domain.items import item_features as of_item
from shared.domain.items.item_features import ItemReading
from shared.domain.users import user_features as of_user
from shared.domain.users.user_features import UserReading
from shared.domain.windows import WINDOWS

USER, ITEM, SESSION, USER_X_CATEGORY, USER_X_BRAND = (
    "user",
    "item",
    "session",
    "user x category",
    "user x brand",
)
Values = dict[str, float]
"""Values by label; the label of a single value is empty."""


@dataclass(frozen=True)
class Feature:
    """A declared feature. version grows when the same events would give another value. unit: of its values. windows: by
    name, empty for none. fold: the state it is read from. read: a pure function of that state."""

    name: str
    version: int
    entity: str
    unit: str
    fold: str
    read: Callable[[Any], Values]
    windows: tuple[str, ...] = ()


class FeatureValue(NamedTuple):
    """One feature as read."""

    feature: Feature
    values: Values


HISTORY, COUNTS, SESSIONS = "history", "event_count", "session"
ALL_WINDOWS = tuple(WINDOWS)
USER_WINDOWS = of_user.USER_WINDOWS

USER_FEATURES: tuple[Feature, ...] = (
    Feature("event_count", 1, USER, "events", COUNTS, of_user.event_count),
    Feature("event_count_in_window", 1, USER, "events", HISTORY, of_user.event_count_in_window, USER_WINDOWS),
    Feature("event_rate", 1, USER, "events a day, decayed", HISTORY, of_user.event_rate),
    Feature("recency", 1, USER, "seconds", HISTORY, of_user.recency),
    Feature("tenure", 1, USER, "seconds", SESSIONS, of_user.tenure),
    Feature("mean_value", 1, USER, "value", HISTORY, of_user.mean_value),
    Feature("price_band", 1, USER, "price", HISTORY, of_user.price_band),
    Feature("category_affinity", 1, USER_X_CATEGORY, "share", HISTORY, of_user.category_affinity),
    Feature("brand_affinity", 1, USER_X_BRAND, "share", HISTORY, of_user.brand_affinity),
    Feature("session_event_count", 2, SESSION, "events", SESSIONS, of_user.session_event_count),
    Feature("session_age", 2, SESSION, "seconds", SESSIONS, of_user.session_age),
    Feature("session_history", 2, SESSION, "seconds ago", HISTORY, of_user.session_history),
)

ITEM_FEATURES: tuple[Feature, ...] = (
    Feature("impressions", 1, ITEM, "events", "windows", of_item.impressions, ALL_WINDOWS),
    Feature("clicks", 1, ITEM, "events", "windows", of_item.clicks, ALL_WINDOWS),
    Feature("purchases", 1, ITEM, "events", "windows", of_item.purchases, ALL_WINDOWS),
    Feature("click_rate", 1, ITEM, "clicks per impression", "windows", of_item.click_rate, ALL_WINDOWS),
    Feature("purchase_rate", 1, ITEM, "purchases per click", "windows", of_item.purchase_rate, ALL_WINDOWS),
    Feature("trending_score", 1, ITEM, "weighted events a day", "windows", of_item.trending_score),
    Feature("trending_velocity", 1, ITEM, "ratio", "windows", of_item.trending_velocity, ("1d", "7d")),
    Feature("item_age", 1, ITEM, "seconds", "first_time_ms", of_item.item_age),
    Feature("co_visits", 2, ITEM, "visits", "neighbours", of_item.co_visits),
)


def read_user(reading: UserReading) -> list[FeatureValue]:
    """All features of a user, in the order of their declaration."""
    return [FeatureValue(feature, feature.read(reading)) for feature in USER_FEATURES]


def read_item(reading: ItemReading) -> list[FeatureValue]:
    """All features of an item, in the order of their declaration."""
    return [FeatureValue(feature, feature.read(reading)) for feature in ITEM_FEATURES]
