"""Public features of users and items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import grpc
import numpy as np

from freshet.feature.v1 import feature_pb2, feature_pb2_grpc
from services.feature.absent_users import READ_SECONDS
from services.feature.digesting import StateDigests
from services.feature.facts import POSTGRES_SECONDS, FactReader, Facts
from services.feature.peers import Peers, forward, forward_stream
from services.feature.projection import Projection
from services.feature.reading import Reading, items_of_items, items_of_user
from services.feature.request import check_items, check_user
from services.feature.time_travel import Past
from shared.adapters.codecs.keys import item_key, user_key
from shared.domain.consistency import MalformedTokenError, decode_token, encode_token
from shared.domain.items.item_counters import merge_items
from shared.domain.violation import Violation
from shared.runtime.errors import invalid_argument, token_not_reached
from shared.runtime.rpc import remaining_seconds, streaming, unary

ITEMS_AT_ONCE = 20
"""Described before other work of the process has its turn: about 6 ms."""
LONGEST_WAIT_SECONDS = 5.0
DIGEST_WAIT_SECONDS = 60.0


class Sources(NamedTuple):
    """What answers are made of, beside the projection."""

    reading: Reading
    facts: FactReader
    past: Past
    digests: StateDigests
    peers: Peers


class FeatureServicer(feature_pb2_grpc.FeatureServiceServicer):
    """Reads the projection."""

    def __init__(self, projection: Projection, sources: Sources) -> None:
        self._projection = projection
        self._sources = sources

    @unary
    async def GetUserFeatures(
        self, request: feature_pb2.GetUserFeaturesRequest, context: grpc.aio.ServicerContext
    ) -> feature_pb2.GetUserFeaturesResponse:
        partition = self._partition_of(request.user_id)
        if (owner := self._sources.peers.owner_of(partition, context)) is not None:
            return await forward(owner.GetUserFeatures, request, context)
        await self._reach(request.min_consistency_token, context, partition)
        if request.as_of_position:
            return await self._as_of(request, partition, context)
        return await self._present(request.user_id, partition, context)

    async def _present(
        self, user_id: str, partition: int, context: grpc.aio.ServicerContext
    ) -> feature_pb2.GetUserFeaturesResponse:
        key = user_key(user_id)
        wait_seconds = remaining_seconds(context, 2 * READ_SECONDS) / 2
        await self._projection.bring_back(np.array([key], np.uint64), wait_seconds)
        user, position = self._projection.state.users.read(key), self._projection.position
        token = encode_token({partition: position})
        response = feature_pb2.GetUserFeaturesResponse(
            user_id=user_id, consistency_token=token, position=position
        )
        facts = await self._sources.facts.read(items_of_user(user), _postgres_seconds(context), key)
        self._sources.reading.describe_user(response, user, facts)
        return response

    async def _as_of(
        self,
        request: feature_pb2.GetUserFeaturesRequest,
        partition: int,
        context: grpc.aio.ServicerContext,
    ) -> feature_pb2.GetUserFeaturesResponse:
        key, position = user_key(request.user_id), request.as_of_position
        wait_seconds = remaining_seconds(context, LONGEST_WAIT_SECONDS)
        user, profile = await self._sources.past.at(key, position, wait_seconds)
        token = encode_token({partition: position})
        response = feature_pb2.GetUserFeaturesResponse(
            user_id=request.user_id, consistency_token=token, position=position, profile=profile
        )
        facts = await self._sources.facts.read(items_of_user(user), _postgres_seconds(context))
        self._sources.reading.describe_user(response, user, facts)
        return response

    @streaming
    async def WatchUserFeatures(
        self, request: feature_pb2.WatchUserFeaturesRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[feature_pb2.WatchUserFeaturesResponse]:
        partition = self._partition_of(request.user_id)
        owner = self._sources.peers.owner_of(partition, context)
        if owner is None:
            answers = self._changes(request.user_id, partition, context)
        else:
            answers = forward_stream(owner.WatchUserFeatures, request, context)
        async with aclosing(self._projection.watchers.until_end(answers)) as until_end:
            async for response in until_end:
                yield response

    async def _changes(
        self, user_id: str, partition: int, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[feature_pb2.WatchUserFeaturesResponse, None]:
        self._projection.check_recovered()
        with self._projection.watchers.watch(user_key(user_id)) as changed:
            while True:
                changed.clear()
                present = await self._present(user_id, partition, context)
                yield feature_pb2.WatchUserFeaturesResponse(user_features=present)
                await changed.wait()

    @unary
    async def BatchGetItemFeatures(
        self, request: feature_pb2.BatchGetItemFeaturesRequest, context: grpc.aio.ServicerContext
    ) -> feature_pb2.BatchGetItemFeaturesResponse:
        check_items(request.item_ids)
        await self._reach(request.min_consistency_token, context)
        keys = [item_key(item_id) for item_id in request.item_ids]
        wait_seconds = remaining_seconds(context, LONGEST_WAIT_SECONDS)
        positions = decode_token(request.min_consistency_token)
        others = await self._sources.peers.item_counters(keys, positions, wait_seconds)
        state, position = self._projection.state, self._projection.position
        records = await _merged(np.concatenate([state.items.rows_of(keys), *others]), keys)
        facts = await self._sources.facts.read(items_of_items(records), _postgres_seconds(context))
        return feature_pb2.BatchGetItemFeaturesResponse(
            item_features=await self._described(request.item_ids, records, facts),
            consistency_token=encode_token(positions | dict.fromkeys(state.positions, position)),
            degraded=facts.degraded,
        )

    async def _described(
        self, item_ids: Sequence[str], records: np.ndarray, facts: Facts
    ) -> list[feature_pb2.ItemFeatures]:
        described: list[feature_pb2.ItemFeatures] = []
        for some in _portions(len(item_ids)):
            described += self._sources.reading.describe_items(item_ids[some], records[some], facts)
            await asyncio.sleep(0)
        return described

    @unary
    async def GetStateDigest(
        self, request: feature_pb2.GetStateDigestRequest, context: grpc.aio.ServicerContext
    ) -> feature_pb2.GetStateDigestResponse:
        await self._reach(request.min_consistency_token, context)
        timeout_seconds = remaining_seconds(context, DIGEST_WAIT_SECONDS, margin=0.1)
        return await self._sources.digests.of(list(request.partitions), timeout_seconds)

    def _partition_of(self, user_id: str) -> int:
        """The user's partition. Raises INVALID_ARGUMENT for an id that is none."""
        check_user(user_id)
        return user_key(user_id) % self._projection.state.settings.partitions

    async def _reach(
        self, token: str, context: grpc.aio.ServicerContext, partition: int | None = None
    ) -> None:
        """Wait for what the token covers, of one partition or of all that this instance owns."""
        self._projection.check_recovered()
        try:
            positions = decode_token(token, self._projection.state.settings.partitions)
        except MalformedTokenError as error:
            raise invalid_argument([Violation("min_consistency_token", str(error), "MALFORMED")]) from None
        owned = self._projection.state.positions if partition is None else (partition,)
        wanted = max((positions.get(each, 0) for each in owned), default=0)
        if not await self._projection.reach(wanted, remaining_seconds(context, LONGEST_WAIT_SECONDS)):
            raise token_not_reached(
                f"the state reflects position {self._projection.position}, not yet {wanted}"
            )


async def _merged(rows: np.ndarray, item_keys: Sequence[int]) -> np.ndarray:
    """The sums (n,) ITEM_SUM of n items from the rows (m,) of all partitions that saw them."""
    sums = []
    for some in _portions(len(item_keys)):
        sums.append(merge_items(rows, item_keys[some]))
        await asyncio.sleep(0)
    return np.concatenate(sums)


def _portions(count: int) -> Iterator[slice]:
    return (slice(start, start + ITEMS_AT_ONCE) for start in range(0, count, ITEMS_AT_ONCE))


def _postgres_seconds(context: grpc.aio.ServicerContext) -> float:
    """How long an answer may wait for PostgreSQL: half of what the call has left at most, so that it still comes."""
    return remaining_seconds(context, 2 * POSTGRES_SECONDS) / 2
