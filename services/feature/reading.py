"""From folded state to the messages that callers get."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from freshet.feature.v1 import feature_pb2
from services.feature.facts import Facts
from shared.adapters.jetstream.catalogue import Catalogue
from shared.domain.events.event import EventType
from shared.domain.fold.features import FeatureValue, read_item, read_user
from shared.domain.items.item_features import ItemReading
from shared.domain.presets.preset import DomainPreset
from shared.domain.users.user_features import ItemFacts, UserReading
from shared.domain.users.user_record import UserView


class Reading:
    """Describes users and items with the facts beside their behaviour."""

    def __init__(self, preset: DomainPreset, catalogue: Catalogue) -> None:
        self._preset = preset
        self._catalogue = catalogue

    def describe_user(
        self, response: feature_pb2.GetUserFeaturesResponse, user: UserView | None, facts: Facts
    ) -> None:
        """Fill in the profile, and the features unless the user is None, somebody never seen."""
        response.degraded = facts.degraded
        if facts.profile is not None:
            response.profile.CopyFrom(facts.profile)
        if user is None:
            return
        response.consumed_item_count = len(user.consumed)
        response.event_counts.update(_by_word(user.event_count))
        self._describe_history(response, user)
        _describe(response.features, read_user(UserReading(user, self._preset, self._of(facts))))

    def _describe_history(self, response: feature_pb2.GetUserFeaturesResponse, user: UserView) -> None:
        for item_key, time_ms, value, event_type in user.history.tolist():
            entry = response.history.add(
                item_id=self._catalogue.id_of(item_key) or "",
                item_key=item_key,
                event_type=EventType(event_type).word,
            )
            entry.event_time.FromMilliseconds(time_ms)
            if not math.isnan(value):
                entry.value = value

    def describe_items(
        self, item_ids: Iterable[str], records: np.ndarray, facts: Facts
    ) -> list[feature_pb2.ItemFeatures]:
        """The features of items, from their merged records (n,) ITEM_SUM; zeros for those never seen."""
        pairs, of = zip(item_ids, range(len(records)), strict=True), self._of(facts)
        return [self._item(item_id, records[row : row + 1], of) for item_id, row in pairs]

    def _item(
        self, item_id: str, record: np.ndarray, facts: Callable[[int], ItemFacts]
    ) -> feature_pb2.ItemFeatures:
        features = feature_pb2.ItemFeatures(item_id=item_id)
        if record["item_key"][0] == 0:
            return features
        features.event_counts.update(_by_word(record["event_count"][0]))
        features.last_event_time.FromMilliseconds(int(record["time_ms"][0]))
        values = read_item(ItemReading(record, self._preset, facts))
        _describe(features.features, values)
        features.trending_score = next(
            each.values[""] for each in values if each.feature.name == "trending_score"
        )
        return features

    def _of(self, facts: Facts) -> Callable[[int], ItemFacts]:
        return lambda key: facts.items.get(key) or ItemFacts(self._catalogue.id_of(key) or "")


def items_of_user(user: UserView | None) -> np.ndarray:
    """Keys (n,) uint64 of the items whose facts the features of a user need."""
    return user.history["item_key"] if user is not None else np.empty(0, np.uint64)


def items_of_items(records: np.ndarray) -> np.ndarray:
    """Keys (n,) uint64 of the items whose facts the features of items need, from their records (m,) ITEM_SUM."""
    seen = records[records["item_key"] != 0]
    return np.concatenate([seen["item_key"], seen["neighbour_key"].ravel()])


def _describe(messages, values: Iterable[FeatureValue]) -> None:
    for value in values:
        messages.add(
            name=value.feature.name,
            version=value.feature.version,
            labels=[label for label in value.values if label],
            values=value.values.values(),
        )


def _by_word(counts: np.ndarray) -> dict[str, int]:
    return {EventType(code).word: int(counts[code]) for code in np.flatnonzero(counts > 0).tolist()}
