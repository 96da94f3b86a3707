"""What is trending, from what each instance of the feature service tells."""

from __future__ import annotations

import numpy as np

from freshet.feature.v1.state_pb2 import ListTrendingItemsResponse
from services.ranking.features.trending import merged


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
