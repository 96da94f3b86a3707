"""The other instances of this service: what this one cannot answer, they can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import grpc
import numpy as np

from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.feature.v1.state_pb2 import ReadItemCountersRequest, ReadItemCountersResponse
from freshet.feature.v1.state_pb2_grpc import StateServiceStub
from shared.domain.items.item_counters import ITEM_RECORD
from shared.domain.owners import Owners
from shared.domain.violation import Violation
from shared.runtime.channels import CHANNEL_OPTIONS
from shared.runtime.errors import invalid_argument, unavailable
from shared.runtime.rpc import REQUEST_ID, answer_margin, remaining_seconds, request_id

LONGEST_WAIT_SECONDS = 5.0
WATCH_SECONDS = 86_400.0
FORWARDED = "x-freshet-forwarded"
"""Marks a call that was handed on once already."""


class Peers:
    """Asks the owners of other partitions. owners: None when this instance was not told of any."""

    def __init__(self, owners: Owners | None, owned: Iterable[int]) -> None:
        self._owned = set(owned)
        self._owners = owners
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def connect(self, stack: AsyncExitStack) -> None:
        """Open a channel to each; they need not be there."""
        for address in self._owners.instances if self._owners is not None else ():
            if not self._owned.issuperset(self._owners.partitions_of(address)):  # type: ignore[union-attr]
                channel = grpc.aio.insecure_channel(address, CHANNEL_OPTIONS)
                self._channels[address] = await stack.enter_async_context(channel)

    def owner_of(self, partition: int, context: grpc.aio.ServicerContext) -> FeatureServiceStub | None:
        """The owner of a partition; None when that is this instance. Raises INVALID_ARGUMENT when nobody is known, or
        when another instance took this one for the owner."""
        if partition in self._owned:
            return None
        was_forwarded = any(key == FORWARDED for key, _ in context.invocation_metadata() or ())
        if self._owners is None or was_forwarded:
            alike = " alike everywhere" if was_forwarded else ""
            rule = f"belongs to partition {partition} of another instance; set FRESHET_FEATURE_ADDRESS{alike}"
            raise invalid_argument([Violation("user_id", rule, "OTHER_INSTANCE")])
        return FeatureServiceStub(self._channels[self._owners.addresses[partition]])

    async def item_counters(
        self, item_keys: Sequence[int], positions: Mapping[int, int], wait_seconds: float
    ) -> list[np.ndarray]:
        """Rows (m,) ITEM_RECORD of each other instance, by item and partition, reflecting `positions` by partition.

        Raises UNAVAILABLE naming an instance that does not answer, or does not get there in time.
        """
        asked = [
            self._ask(address, item_keys, self._wanted(address, positions), wait_seconds)
            for address in self._channels
        ]
        return list(await asyncio.gather(*asked))

    def _wanted(self, address: str, positions: Mapping[int, int]) -> int:
        return max((positions.get(each, 0) for each in self._partitions_of(address)), default=0)

    async def _ask(
        self, address: str, item_keys: Sequence[int], wanted: int, wait_seconds: float
    ) -> np.ndarray:
        # Who is asked waits less than who asks, and leaves time to say that it is not there yet.
        request = ReadItemCountersRequest(
            item_keys=item_keys,
            min_position=wanted,
            wait_seconds=max(0.0, wait_seconds - answer_margin(wait_seconds)),
        )
        stub = StateServiceStub(self._channels[address])
        try:
            answer: ReadItemCountersResponse = await stub.ReadItemCounters(request, timeout=wait_seconds)
        except grpc.aio.AioRpcError as error:
            reason = f"the feature instance at {address} does not answer: {error.code().name}"
            raise unavailable("PEER_AWAY", reason) from error
        if answer.position < wanted:
            raise unavailable("PEER_BEHIND", f"the feature instance at {address} is not at {wanted} yet")
        return self._own(address, np.frombuffer(answer.records, ITEM_RECORD))

    def _own(self, address: str, records: np.ndarray) -> np.ndarray:
        """Those of `records` (m,) that nobody else tells of: while a partition moves, its old owner still has it."""
        theirs = self._partitions_of(address) - self._owned
        return records[np.isin(records["partition"], list(theirs))]

    def _partitions_of(self, address: str) -> set[int]:
        return set(self._owners.partitions_of(address)) if self._owners is not None else set()


async def forward(call: Any, request: Any, context: grpc.aio.ServicerContext) -> Any:
    """The answer of another instance; its refusal becomes the refusal of this call."""
    try:
        timeout = remaining_seconds(context, LONGEST_WAIT_SECONDS)
        return await call(request, timeout=timeout, metadata=_metadata(context))
    except grpc.aio.AioRpcError as error:
        await _refuse(context, error)


async def forward_stream(
    call: Any, request: Any, context: grpc.aio.ServicerContext
) -> AsyncGenerator[Any, None]:
    """The same for a call that answers with a stream."""
    try:
        timeout = remaining_seconds(context, WATCH_SECONDS)
        async for response in call(request, timeout=timeout, metadata=_metadata(context)):
            yield response
    except grpc.aio.AioRpcError as error:
        await _refuse(context, error)


def _metadata(context: grpc.aio.ServicerContext) -> tuple[tuple[str, str], ...]:
    return ((REQUEST_ID, request_id(context)), (FORWARDED, "1"))


async def _refuse(context: grpc.aio.ServicerContext, error: grpc.aio.AioRpcError) -> None:
    await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))
