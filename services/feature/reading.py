"""From folded state to the messages that callers get."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from freshet.feature.v1 import feature_pb2
from services.feature.erasures import Erasures
from shared.adapters.catalogue import Catalogue
from shared.adapters.database import DEFECTS, UNAVAILABLE, within
from shared.adapters.item_facts import read_item_facts
from shared.adapters.user_profiles import read_profile
from shared.domain.event import EventType
from shared.domain.features import FeatureValue, read_item, read_user
from shared.domain.item_features import ItemReading
from shared.domain.preset import DomainPreset
from shared.domain.user_features import ItemFacts, UserReading
from shared.domain.user_record import UserView

Facts = Callable[[int], ItemFacts]
POSTGRES_SECONDS = 1.0
"""So long an answer waits for PostgreSQL at most; then it goes without, and says so in `degraded`."""


class Reading:
    """Describes users and items with what PostgreSQL holds beside their behaviour: profiles, and the facts of items."""

    def __init__(
        self, preset: DomainPreset, catalogue: Catalogue, engine: AsyncEngine, erasures: Erasures
    ) -> None:
        self._preset = preset
        self._catalogue = catalogue
        self._engine = engine
        self._erasures = erasures

    async def add_profile(
        self, response: feature_pb2.GetUserFeaturesResponse, user_key: int, wait_seconds: float
    ) -> None:
        """Fill in the newest profile of a user who has one. That of an erased user is hidden from the request on: its
        row goes a moment later."""
        after = self._erasures.erased_at(user_key)
        with _degrading(response):
            profile = await within(wait_seconds, read_profile(self._engine, user_key, after))
            if profile is not None:
                response.profile.CopyFrom(profile)

    async def describe_user(
        self, response: feature_pb2.GetUserFeaturesResponse, user: UserView | None, wait_seconds: float
    ) -> None:
        """Fill in the features of a user; None, of somebody never seen, leaves the response as it is."""
        if user is None:
            return
        facts = await self._facts(response, user.history["item_key"], wait_seconds)
        response.consumed_item_count = len(user.consumed)
        response.event_counts.update(_by_word(user.event_count))
        self._describe_history(response, user)
        _describe(response.features, read_user(UserReading(user, self._preset, facts)))

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

    async def describe_items(
        self,
        response: feature_pb2.BatchGetItemFeaturesResponse,
        item_ids: Iterable[str],
        records: np.ndarray,
        wait_seconds: float,
    ) -> None:
        """Fill in the features of items, from their merged records (n,) ITEM_RECORD; zeros for those never seen."""
        seen = records[records["time_ms"] != 0]
        keys = np.concatenate([seen["item_key"], seen["neighbour_key"].ravel()])
        facts = await self._facts(response, keys, wait_seconds)
        pairs = zip(item_ids, range(len(records)), strict=True)
        response.item_features.extend(
            self._item(item_id, records[row : row + 1], facts) for item_id, row in pairs
        )

    def _item(self, item_id: str, record: np.ndarray, facts: Facts) -> feature_pb2.ItemFeatures:
        features = feature_pb2.ItemFeatures(item_id=item_id)
        if record["time_ms"][0] == 0:
            return features
        features.event_counts.update(_by_word(record["event_count"][0]))
        features.last_event_time.FromMilliseconds(int(record["time_ms"][0]))
        values = read_item(ItemReading(record, self._preset, facts))
        _describe(features.features, values)
        features.trending_score = next(
            each.values[""] for each in values if each.feature.name == "trending_score"
        )
        return features

    async def _facts(
        self,
        response: feature_pb2.GetUserFeaturesResponse | feature_pb2.BatchGetItemFeaturesResponse,
        item_keys: np.ndarray,
        wait_seconds: float,
    ) -> Facts:
        known: Mapping[int, ItemFacts] = {}
        if len(item_keys):
            with _degrading(response):
                wanted = np.unique(item_keys).tolist()
                known = await within(wait_seconds, read_item_facts(self._engine, wanted))
        return lambda key: known.get(key) or ItemFacts(self._catalogue.id_of(key) or "")


@contextmanager
def _degrading(
    response: feature_pb2.GetUserFeaturesResponse | feature_pb2.BatchGetItemFeaturesResponse,
) -> Iterator[None]:
    """While PostgreSQL is away an answer goes without what it cannot tell."""
    try:
        yield
    except DEFECTS:
        raise
    except UNAVAILABLE:
        response.degraded = True


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
