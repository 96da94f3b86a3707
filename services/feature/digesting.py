"""Digests of the live state, without holding up those who fold and read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from freshet.feature.v1.feature_pb2 import Fold, GetStateDigestResponse
from freshet.feature.v1.feature_pb2 import PartitionDigest as Message
from services.feature.erasures import Erasures
from services.feature.projection import Projection
from shared.domain.fold.state import FOLD_VERSION
from shared.domain.fold.state_digest import PartitionCopy, PartitionDigest, copy_partition
from shared.domain.violation import Violation
from shared.runtime.errors import Refusal, invalid_argument, unavailable

ENTRIES_AT_ONCE = 300


class StateDigests:
    """Takes digests of a projection."""

    def __init__(self, projection: Projection, erasures: Erasures) -> None:
        self._projection = projection
        self._erasures = erasures

    async def of(self, partitions: Sequence[int], timeout_seconds: float) -> GetStateDigestResponse:
        """Digests of `partitions`, of all owned ones when empty. Waits for partitions that are folded anew after an
        erasure. Raises INVALID_ARGUMENT for partitions of others, UNAVAILABLE when the wait takes too long, and
        DEADLINE_EXCEEDED when the digests do."""
        owned = self._projection.state.positions
        if strangers := [each for each in partitions if each not in owned]:
            rule = f"{strangers[0]} belongs to another instance; this one owns {sorted(owned)}"
            raise invalid_argument([Violation("partitions", rule, "OTHER_INSTANCE")])
        try:
            async with asyncio.timeout(timeout_seconds):
                digests = [await self._digest(partition) for partition in sorted(partitions or owned)]
        except TimeoutError:
            raise self._too_slow() from None
        return GetStateDigestResponse(
            partition_digests=[Message(**each._asdict()) for each in digests], fold=self._fold()
        )

    def _too_slow(self) -> Refusal:
        if self._projection.state.to_refold:
            return unavailable("REFOLDING", "a partition is folded anew after an erasure")
        rule = "the digests take longer than the call may; give it more time, or ask for fewer partitions"
        return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LITTLE_TIME", rule)

    async def _digest(self, partition: int) -> PartitionDigest:
        await self._erasures.settled()  # one may have begun while the partition before was summed up
        copy = copy_partition(self._projection.state, partition)
        copy = copy._replace(position=self._projection.position)
        return copy.digest(await _sum(copy))

    def _fold(self) -> Fold:
        settings = self._projection.state.settings
        return Fold(
            version=FOLD_VERSION,
            domain=settings.preset.name,
            history_length=settings.history_length,
            partitions=settings.partitions,
        )


async def _sum(copy: PartitionCopy) -> int:
    total = 0
    for number, digest in enumerate(copy.entry_digests()):
        total += digest
        if number % ENTRIES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return total
