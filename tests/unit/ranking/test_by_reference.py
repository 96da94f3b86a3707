"""Answers are what a slow reference gives, which knows no batches, no thresholds and no arrays with room."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from services.ranking.answers.policy import CATALOGUE, MODEL, TRENDING, Fallback, Wish, rank
from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import DeltaProgress, ModelSlot
from services.ranking.model.scorer import Scorer
from shared.adapters.codecs.bundle import Bundle, pack
from shared.adapters.codecs.keys import item_key, item_keys
from shared.domain.models.delta import Delta
from shared.domain.models.item_rules import GEOMETRIC, HARMONIC, ItemRules
from shared.domain.models.mixture import Experts, Mixture
from tests.builders import bundle
from tests.unit.ranking.model import catalogue, golden, sum_encoder

FIRES, ITEMS, NEW = 3, [f"i{number}" for number in range(30)], [f"n{number}" for number in range(5)]
MIXTURE = Mixture(0.7, 0.01, (FIRES,), 0.3, 0.05)
Shown = list[tuple[int, str]]


def rules(random: np.random.Generator, recency: np.ndarray) -> ItemRules:
    """Of each item up to four follow it."""
    followers = [random.choice(len(ITEMS), random.integers(0, 5), replace=False) for _ in ITEMS]
    counts = [random.random(len(each), np.float32) + np.float32(0.1) for each in followers]
    start, total = (
        np.cumsum([0, *map(len, counts)]),
        np.array([20 + each.sum() for each in counts], np.float32),
    )
    return ItemRules.of_rows(start, np.concatenate(followers), np.concatenate(counts), total, recency)


def model(random: np.random.Generator) -> Bundle:
    made = bundle(ITEMS, dimension=4, encoder=sum_encoder())
    vectors, experts = (
        random.normal(size=(len(ITEMS), 4)),
        Experts(rules(random, HARMONIC), rules(random, GEOMETRIC)),
    )
    manifest = replace(made.manifest, mixture=MIXTURE)
    return pack(
        replace(made, item_vectors=vectors.astype("f4"), golden=golden(), manifest=manifest, experts=experts)
    )[1]


@dataclass
class Reference:
    """A model as plain numbers by key. follows, goes_with: of an item, the count of each other one, and the total."""

    vectors: dict[int, np.ndarray]
    follows: dict[int, tuple[dict[int, float], float]]
    goes_with: dict[int, tuple[dict[int, float], float]]

    @classmethod
    def of(cls, made: Bundle) -> Reference:
        keys = made.item_keys.tolist()
        counted = [_by_key(each, keys) for each in (made.experts.sequence, made.experts.ease)]
        return cls(dict(zip(keys, made.item_vectors, strict=True)), *counted)

    def learn(self, delta: Delta) -> None:
        for key, vector in zip(delta.item_keys.tolist(), delta.vectors, strict=True):
            self.vectors[key] = vector
            self.follows.setdefault(key, ({}, 20.0))
        for key, follower, count in zip(
            delta.rule_keys.tolist(), delta.follower_keys.tolist(), delta.counts, strict=True
        ):
            counts, total = self.follows[key]
            self.follows[key] = {**counts, follower: counts.get(follower, 0.0) + count}, total + count

    def score(self, user: UserState, key: int) -> float:
        known = [
            pair
            for pair in zip(user.item_key.tolist(), user.event_type.tolist(), strict=True)
            if pair[0] in self.vectors
        ]
        score = sum(float(self.vectors[each] @ self.vectors[key]) for each, _ in known)
        called = [0.0, 0.0]
        for age, (each, event_type) in enumerate(reversed(known)):
            for kind, table in enumerate((self.follows, self.goes_with)):
                counts, total = table.get(each, ({}, 1.0))
                weight = (1 / (age + 1), 0.9**age)[kind] * (event_type == FIRES) * (age < 20)
                called[kind] += weight * counts.get(key, 0.0) / total
        return score + 0.7 * math.log1p(called[0] / 0.01) + 0.3 * math.log1p(called[1] / 0.05)


def _by_key(table: ItemRules, keys: list[int]) -> dict[int, tuple[dict[int, float], float]]:
    own = (zip(*map(np.ndarray.tolist, table.followers_of(row)), strict=True) for row in range(len(keys)))
    return {
        key: ({keys[follower]: count for follower, count in each}, total)
        for key, each, total in zip(keys, own, table.total.tolist(), strict=True)
    }


def delta(random: np.random.Generator, version: str, known: list[int]) -> Delta:
    """New items, new vectors for old ones, and rules between any of them."""
    keys = np.unique(
        np.append(item_keys(random.choice(NEW, 2)), random.choice(np.array(known, np.uint64), 3))
    )
    named = np.append(keys, np.array(known, np.uint64))
    owners = np.unique(random.choice(named, 4))
    followers, counts = (
        random.choice(named, len(owners)),
        random.random(len(owners), np.float32) + np.float32(1),
    )
    vectors, biases = random.normal(size=(len(keys), 4)).astype("f4"), np.zeros(len(keys), np.float32)
    return Delta(version, 1, 1, keys, vectors, biases, owners, followers, counts)


def user(random: np.random.Generator) -> UserState:
    """Somebody with up to 30 events, of some of which the model knows nothing."""
    length, events = int(random.choice([5, 30])), int(random.integers(0, 6))
    keys, types = np.zeros(length, np.uint64), np.zeros(length, np.uint8)
    events = events * length // 5
    if events:
        keys[-events:] = item_keys(random.choice([*ITEMS, *NEW, "unheard of"], events))
        types[-events:] = random.choice([FIRES, FIRES, 5], events)
    return UserState(keys, types, np.zeros(length, np.int64), item_keys(random.choice(ITEMS, 4)), 9)


def expected(wish: Wish, state: UserState, reference: Reference, fallback: Fallback) -> Shown:
    """The best by the model, then what is trending, then the catalogue in its order; each item once."""
    hidden = {*state.consumed.tolist(), *wish.excluded.tolist()}
    shown = {key: CATALOGUE for key, _ in fallback.catalogue.entries() if key not in hidden}
    order = [*(key for key in fallback.trending if key in shown), *shown]
    shown |= dict.fromkeys(shown.keys() & fallback.trending.keys(), TRENDING)
    if any(key in reference.vectors for key in state.item_key.tolist()):
        known = [key for key in reference.vectors if key in shown]
        order = [*sorted(known, key=lambda key: -reference.score(state, key)), *order]
        shown |= dict.fromkeys(known, MODEL)
    return [(key, shown[key]) for key in dict.fromkeys(order)][: wish.page_size]


@pytest.mark.parametrize("seed", range(20))
async def test_pages_are_those_of_the_reference_also_after_deltas_and_beside_a_catalogue_with_gaps(seed):
    random = np.random.default_rng(seed)
    made, known = model(random), catalogue(random.permutation([*ITEMS, *NEW, "c1", "c2"])[:30].tolist())
    slot, reference = ModelSlot(known), Reference.of(made)
    await slot.swap(Scorer(made), datetime(2025, 1, 1, tzinfo=UTC))
    for _ in range(3):
        told = delta(random, slot.current.version, list(reference.vectors))
        slot.renew(slot.current.scorer.learned(told), DeltaProgress())
        reference.learn(told)
    trending = dict.fromkeys(map(item_key, random.permutation([*ITEMS[:9], "c1", "gone"]).tolist()), 1.0)
    fallback, users = Fallback(trending, known), [user(random) for _ in range(8)]
    wishes = [Wish(int(random.choice([1, 5, 50])), item_keys(random.choice(NEW, 2))) for _ in users]
    found = rank(wishes, users, slot.current, fallback)
    shown = [[(item.item_key, item.source) for item in answer.items] for answer in found]
    assert shown == [expected(*each, reference, fallback) for each in zip(wishes, users, strict=True)]
