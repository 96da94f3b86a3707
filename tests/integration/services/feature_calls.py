"""What tests ask about features beyond single calls of the SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from itertools import islice

import grpc

from deploy.local.brokers import Brokers
from freshet.event.v1.event_pb2 import UserEvent
from freshet.feature.v1.feature_pb2 import GetStateDigestRequest, GetUserFeaturesResponse, PartitionDigest
from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.ingestion.v1.ingestion_pb2 import ErasureReceipt, WriteStatus
from freshet.log.v1.log_pb2 import Erasure
from services.console.log.log_fold import Log, fold_log
from services.console.log.replay_check import fold_settings
from shared.adapters.codecs.keys import partition_of, user_key
from shared.adapters.postgres.archive import Archive
from shared.domain.consistency import encode_token
from shared.domain.fold.state import State
from shared.domain.fold.state_digest import digests
from tests.conditions import eventually
from tests.integration.services.conftest import Running

PARTITIONS = 16


def token_of(user_id: str, position: int) -> str:
    """A token that covers what the log holds of a user up to `position`."""
    return encode_token({partition_of(user_key(user_id), PARTITIONS): position})


async def written(running: Running, events: Iterable[UserEvent]) -> str:
    """Write up to 1,000 events; the token that covers them."""
    answer = await running.client.batch_write_user_events(events)
    assert {each.status for each in answer.outcomes} == {WriteStatus.WRITE_STATUS_ACCEPTED}
    return answer.consistency_token


async def put_in_log(running: Running, event: UserEvent) -> int:
    """Put an event straight into the log, with no check for duplicates; its position."""
    partition, names = partition_of(user_key(event.user_id), PARTITIONS), running.space.names
    subject = names.event_subject(partition, event.event_type)
    return (await running.space.nats.jetstream().publish(subject, event.SerializeToString())).seq


async def archived(running: Running, position: int) -> None:
    """Wait until the archive holds the log up to a position."""

    async def there() -> bool:
        return await Archive(running.space.engine).position() >= position

    await eventually(there)


async def erasure_requested(running: Running, user_id: str) -> int:
    """Put the request to erase a user into the log, as ingestion does; its position."""
    key, names = user_key(user_id), running.space.names
    request = Erasure(receipt=ErasureReceipt(receipt_id=f"erasure of {user_id}", user_key=key))
    subject = names.erasure_subject(partition_of(key, PARTITIONS))
    return (await running.space.nats.jetstream().publish(subject, request.SerializeToString())).seq


@asynccontextmanager
async def watching(running: Running, user_id: str) -> AsyncIterator[AsyncIterator[GetUserFeaturesResponse]]:
    """What a watch of a user tells; the first answer is that of now."""
    stream = running.client.with_options(timeout_seconds=20).watch_user_features(user_id)
    async with aclosing(stream) as answers:
        yield (answer.user_features async for answer in answers)


async def number_of_users(running: Running, token: str) -> int:
    """How many users the service knows, in memory or away."""
    request = GetStateDigestRequest(min_consistency_token=token)
    answer = await FeatureServiceStub(running.client.channel("feature")).GetStateDigest(request, timeout=30)
    return sum(each.user_count for each in answer.partition_digests)


Digests = dict[int, tuple[str, int, int]]
"""The digest of each partition, and how many users and items it covers: where they differ, these tell how."""


async def digests_served_and_anew(running: Running, token: str = "") -> tuple[Digests, Digests]:
    """Those of the state served, and those of a fold of the log from its first message."""
    request = GetStateDigestRequest(min_consistency_token=token)
    answer = await FeatureServiceStub(running.client.channel("feature")).GetStateDigest(request, timeout=30)
    limits = {each.partition: int(each.position) for each in answer.partition_digests}
    log, empty = Log(running.space.nats, running.space.names), State(fold_settings(answer.fold, None))
    anew = digests(await fold_log(log, empty, limits, lambda position: None), limits)
    return _by_partition(answer.partition_digests), _by_partition(anew)


def _by_partition(partition_digests: Iterable[PartitionDigest]) -> Digests:
    return {each.partition: (each.digest, each.user_count, each.item_count) for each in partition_digests}


@asynccontextmanager
async def without_postgres(brokers: Brokers, away: str) -> AsyncIterator[None]:
    """PostgreSQL is "frozen" or "dead" while the context lasts."""
    if away == "frozen":
        brokers.postgres.pause()
    else:
        await brokers.postgres.sigkill()
    try:
        yield
    finally:
        if away == "frozen":
            brokers.postgres.resume()
        else:
            await brokers.postgres.start()


def of_one_partition(prefix: str, number: int) -> list[str]:
    """Names of users who share a partition."""
    names = (f"{prefix}-{each}" for each in range(10_000))
    wanted = partition_of(user_key(f"{prefix}-0"), PARTITIONS)
    return list(
        islice((each for each in names if partition_of(user_key(each), PARTITIONS) == wanted), number)
    )


async def folds_anew(running: Running) -> bool:
    """Whether a partition is being folded anew, and stays so for half a second: there is no digest meanwhile."""
    async with grpc.aio.insecure_channel(running.suite.address("feature")) as channel:
        try:
            await FeatureServiceStub(channel).GetStateDigest(GetStateDigestRequest(), timeout=0.5)
        except grpc.aio.AioRpcError as error:
            return "folded anew" in (error.details() or "")
    return False
