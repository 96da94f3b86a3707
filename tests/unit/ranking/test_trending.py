"""What is trending, from what each instance of the feature service tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from freshet.feature.v1.state_pb2 import ListTrendingItemsResponse
from services.ranking.features.feature_instances import FeatureInstances
from services.ranking.features.trending import Trending, merged
from shared.domain.owners import parse_owners
from tests.conditions import eventually


def told(**scores: float) -> ListTrendingItemsResponse:
    """What one instance tells of items of these keys."""
    keys, amounts = np.array([int(key[1:]) for key in scores], np.uint64), np.array([*scores.values()], "f4")
    return ListTrendingItemsResponse(item_key=keys.tobytes(), score=amounts.tobytes())


def test_what_instances_tell_of_one_item_is_summed_and_the_highest_comes_first_ties_by_key():
    found = merged([told(k3=2, k1=1, k9=1), told(k2=4, k9=1.5)])
    assert list(found.items()) == [(2, 4.0), (9, 2.5), (3, 2.0), (1, 1.0)]
    assert list(merged([told(k8=1, k7=1)])) == [7, 8]


def test_nothing_told_is_nothing_trending():
    assert merged([]) == merged([told()]) == {}


async def test_an_instance_that_does_not_answer_holds_up_nothing_that_the_others_tell():
    owners = parse_owners("0-1=answers:1,2-3=frozen:1", 4)
    answers = _Channel(told(k1=1), told(k2=1))
    trending = Trending(FeatureInstances(owners, {"answers:1": answers, "frozen:1": _Channel()}), 0.01)
    following = asyncio.create_task(trending.follow())
    await eventually(lambda: list(trending.scores) == [2], timeout=4.0)
    following.cancel()


class _Channel:
    """A channel on which calls get these answers, one after the other, and later ones none."""

    def __init__(self, *told: ListTrendingItemsResponse) -> None:
        self._told = list(told)

    def unary_unary(self, *_: object, **__: object) -> Callable[..., Awaitable[ListTrendingItemsResponse]]:
        async def call(*_: object, **__: object) -> ListTrendingItemsResponse:
            return self._told.pop(0) if self._told else await asyncio.Future()

        return call
