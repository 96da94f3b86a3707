"""What is trending, read every so often from all instances of the feature service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import grpc
import numpy as np
import structlog

from freshet.feature.v1.state_pb2 import ListTrendingItemsRequest, ListTrendingItemsResponse
from services.ranking.features.feature_instances import FeatureInstance, FeatureInstances

_log = structlog.get_logger("trending")
TIMEOUT_SECONDS = 5.0


class Trending:
    """scores: by item key, the highest first; another mapping after each read, since who holds one may be in another
    thread. The last answer of an instance stays while it is away.

    Each instance knows its own partitions: scores of one item are summed. All answer as of the newest event time that
    any of them has told before.
    """

    def __init__(self, instances: FeatureInstances, refresh_seconds: float) -> None:
        self.scores: Mapping[int, float] = {}
        self._instances = instances
        self._refresh_seconds = refresh_seconds
        self._answers: dict[str, ListTrendingItemsResponse] = {}

    async def follow(self) -> None:
        """Refresh until cancelled, of each instance on its own: one that is frozen holds up no other."""
        async with asyncio.TaskGroup() as group:
            for instance in self._instances.all:
                group.create_task(self._follow(instance))

    async def _follow(self, instance: FeatureInstance) -> None:
        while True:
            await self._ask(instance)
            await asyncio.sleep(self._refresh_seconds)

    async def _ask(self, instance: FeatureInstance) -> None:
        newest_ms = max((answer.time_ms for answer in self._answers.values()), default=0)
        request = ListTrendingItemsRequest(time_ms=newest_ms)
        try:
            answer = await instance.stub.ListTrendingItems(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            _log.debug("trending items not refreshed", address=instance.address, code=error.code().name)
            return
        self._answers[instance.address] = answer
        self.scores = merged(list(self._answers.values()))


def merged(answers: list[ListTrendingItemsResponse]) -> dict[int, float]:
    """Summed scores of several answers by key, the highest first, ties by key."""
    keys = np.concatenate(
        [np.empty(0, np.uint64), *(np.frombuffer(each.item_key, np.uint64) for each in answers)]
    )
    scores = np.concatenate([np.empty(0), *(np.frombuffer(each.score, np.float32) for each in answers)])
    items, at = np.unique(keys, return_inverse=True)
    summed = np.bincount(at, weights=scores, minlength=len(items))
    order = np.lexsort((items, -summed))
    return dict(zip(items[order].tolist(), summed[order].tolist(), strict=True))
