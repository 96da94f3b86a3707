"""Several feature instances share the partitions, answer as one would, and a partition moves without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from deploy.local.suite import Suite, SuiteSettings, local_suite
from freshet.feature.v1 import feature_pb2
from freshet.feature.v1.feature_pb2_grpc import FeatureServiceStub
from freshet.ingestion.v1.ingestion_pb2 import WriteStatus
from freshet.ranking.v1.ranking_pb2 import DegradedReason
from services.console.datasets.dataset import Dataset, Interaction
from services.console.datasets.replaying import Replay
from services.console.log.log_fold import Log, fold_log
from services.console.output import Output
from services.console.suite.health import health_of_all
from shared.adapters.codecs.keys import user_key
from shared.client import Addresses, FreshetClient
from shared.client.errors import InvalidArgument, Unavailable
from shared.domain.consistency import decode_token, encode_token
from shared.domain.fold.state import FoldSettings, State
from shared.domain.fold.state_digest import digests
from shared.runtime.taken_over import TAKEN_OVER
from tests.builders import VIDEO, catalogue_item, message
from tests.conditions import eventually
from tests.integration.forked import forked
from tests.integration.namespaces import SMALL_SETTINGS, Namespace, new_namespace

pytestmark = pytest.mark.asyncio(loop_scope="session")
PARTITIONS = 4
FEATURE_INSTANCES = ("feature-0", "feature-1")
USERS = [f"u{number}" for number in range(12)]


@dataclass
class Instances:
    """A namespace in which suites are started: services with two feature instances, or one that goes its own way."""

    space: Namespace
    directory: Path
    stack: AsyncExitStack

    async def start(self, *names: str, feature_instances: int = 2, **environment: str) -> Suite:
        """Services that serve; environment: FRESHET_... variables without the prefix, in lower case."""
        told = {
            "drain_notice_seconds": "0",
            "checkpoint_seconds": "0.2",
            **SMALL_SETTINGS,
            **environment,
        }
        variables = {f"FRESHET_{name.upper()}": value for name, value in told.items()}
        settings = SuiteSettings.on_free_ports(
            starter=forked,
            directory=self.directory / f"{len(list(self.directory.iterdir()))}",
            nats_url=self.space.brokers.nats_url,
            database_url=self.space.brokers.database_url,
            namespace=self.space.name,
            domain="video",
            partitions=PARTITIONS,
            services=names,
            feature_instances=feature_instances,
            environment={name: variables for name in names},
        )
        return await self.stack.enter_async_context(local_suite(settings))

    async def stranger(self, owned_partitions: str) -> Suite:
        """One more feature instance, which knows of no others."""
        return await self.start("feature", feature_instances=1, owned_partitions=owned_partitions)

    async def client(self, **addresses: str) -> FreshetClient:
        return await self.stack.enter_async_context(FreshetClient(Addresses(**addresses)))

    async def folded_anew(self, limits: dict[int, int]) -> dict[int, str]:
        """Digests of a clean fold of the log, by partition."""
        log = Log(self.space.nats, self.space.names)
        empty = State(FoldSettings(VIDEO, 50, PARTITIONS))
        state = await fold_log(log, empty, limits, lambda position: None)
        return {each.partition: each.digest for each in digests(state, limits)}


@pytest_asyncio.fixture(loop_scope="session")
async def instances(brokers, tmp_path) -> AsyncIterator[Instances]:
    async with AsyncExitStack() as stack:
        yield Instances(await stack.enter_async_context(new_namespace(brokers)), tmp_path, stack)


async def written(client: FreshetClient, rounds: int, prefix: str = "e") -> str:
    """Events of all users about some items; the token that covers them."""
    events = [
        message("rate", event_id=f"{prefix}-{user}-{n}", user_id=user, items=[f"i{n % 3}"])
        for n in range(rounds)
        for user in USERS
    ]
    answer = await client.batch_write_user_events(events)
    assert {each.status for each in answer.outcomes} == {WriteStatus.WRITE_STATUS_ACCEPTED}
    return answer.consistency_token


async def served(addresses: list[str], token: str) -> dict[int, feature_pb2.PartitionDigest]:
    """The digests that instances answer, by partition."""
    found = {}
    for address in addresses:
        async with grpc.aio.insecure_channel(address) as channel:
            request = feature_pb2.GetStateDigestRequest(min_consistency_token=token)
            answer = await FeatureServiceStub(channel).GetStateDigest(request, timeout=20)
            found |= {each.partition: each for each in answer.partition_digests}
    return found


async def check_digests(instances: Instances, addresses: list[str], token: str) -> None:
    found = await served(addresses, token)
    limits = {partition: int(each.position) for partition, each in found.items()}
    assert sorted(found) == list(range(PARTITIONS))
    assert {partition: each.digest for partition, each in found.items()} == await instances.folded_anew(
        limits
    )


async def test_each_instance_answers_for_all_users_and_items(instances):
    suite = await instances.start("ingestion", "feature")
    writer = await instances.client(ingestion=suite.address("ingestion"))
    token = await written(writer, 3)
    answers = []
    for name in FEATURE_INSTANCES:
        client = await instances.client(feature=suite.address(name))
        users = [await client.get_user_features(user, token) for user in USERS]
        items = await client.batch_get_item_features(["i0", "i1", "i2"], token)
        answers.append(([dict(user.event_counts) for user in users], list(items.item_features)))
    assert answers[0] == answers[1]
    assert answers[0][0] == [{"rate": 3}] * len(USERS)
    assert [each.event_counts["rate"] for each in answers[0][1]] == [len(USERS)] * 3


async def test_a_watch_is_handed_on_to_the_owner(instances):
    suite = await instances.start("ingestion", "feature")
    writer = await instances.client(ingestion=suite.address("ingestion"))
    for name in FEATURE_INSTANCES:
        async with grpc.aio.insecure_channel(suite.address(name)) as channel:
            call = FeatureServiceStub(channel).WatchUserFeatures(
                feature_pb2.WatchUserFeaturesRequest(user_id="u1"), timeout=20
            )
            before = (await call.read()).user_features.event_counts["rate"]
            await writer.write_user_event(message("rate", user_id="u1"))
            assert (await call.read()).user_features.event_counts["rate"] == before + 1
            call.cancel()


async def test_ranking_finds_the_owner_and_an_instance_that_is_away_degrades_its_own_users_alone(instances):
    suite = await instances.start("ingestion", "feature", "ranking")
    client = await instances.client(ingestion=suite.address("ingestion"), ranking=suite.address("ranking"))
    await client.upsert_items([catalogue_item(f"i{n}") for n in range(4)])
    token = await written(client, 3)
    fresh = [await client.recommend(user, min_consistency_token=token) for user in USERS]
    assert [[each.item_id for each in answer.results] for answer in fresh] == [["i3"]] * len(USERS)
    await suite.stop("feature-1")
    stale = {user: [*(await client.recommend(user)).degraded] for user in USERS}
    away = DegradedReason.DEGRADED_REASON_FEATURES_UNAVAILABLE
    assert {away in degraded for degraded in stale.values()} == {True, False}


async def test_a_token_of_a_frozen_instances_user_does_not_hold_up_those_of_the_others(instances):
    suite = await instances.start("ingestion", "feature", "ranking")
    client = await instances.client(ingestion=suite.address("ingestion"), ranking=suite.address("ranking"))
    later = 1 + max(decode_token(await written(client, 3)).values())
    patient, frozen = client.with_options(timeout_seconds=10), suite.service("feature-1")
    frozen.pause()
    try:
        calls = [
            asyncio.create_task(patient.recommend(user, min_consistency_token=token_of(user, later)))
            for _ in range(20)
            for user in (owned_by(0)[0], owned_by(1)[0])
        ]
        await asyncio.wait(calls, timeout=0.2)  # all of them wait
        await client.write_user_event(message("rate", user_id=owned_by(0)[0]))
        done, _ = await asyncio.wait(calls, timeout=2.0)
    finally:
        frozen.resume()
    assert done == set(calls[::2])
    await asyncio.gather(*calls, return_exceptions=True)


def owned_by(number: int) -> list[str]:
    """The users of one of two instances."""
    return [user for user in USERS if 2 * (user_key(user) % PARTITIONS) // PARTITIONS == number]


def token_of(user: str, position: int) -> str:
    return encode_token({user_key(user) % PARTITIONS: position})


async def test_the_status_tells_what_each_instance_owns_and_how_far_it_is(instances, monkeypatch):
    suite = await instances.start("ingestion", "feature")
    for name, text in suite.variables.items():
        monkeypatch.setenv(name, text)
    client = await instances.client()
    written_to = decode_token(await written(client, 1))
    facts = {
        name: {"partitions": partitions, "folded_to_position": max(written_to[each] for each in owned)}
        for name, partitions, owned in (("feature-0", "0-1", (0, 1)), ("feature-1", "2-3", (2, 3)))
    }

    async def told() -> dict[str, dict]:
        return {each.service: each.facts for each in await health_of_all(client) if each.service in facts}

    async def all_is_folded() -> bool:
        return await told() == facts

    await eventually(all_is_folded)
    await suite.stop("feature-1")
    assert await told() == {**facts, "feature-1": {"partitions": "2-3"}}


async def test_a_replay_ends_when_every_instance_has_folded_it_not_only_the_last_users(instances):
    suite = await instances.start("ingestion", "feature")
    rows = [Interaction(user, "i0", n + 1_700_000_000.0, 4.0) for n, user in enumerate(USERS)]
    is_first = user_key(USERS[-1]) % PARTITIONS < PARTITIONS // 2
    owner, other = FEATURE_INSTANCES if is_first else FEATURE_INSTANCES[::-1]
    client = await instances.client(ingestion=suite.address("ingestion"), feature=suite.address(owner))
    await suite.stop(other)
    with pytest.raises(Unavailable, match="does not answer"):
        await Replay(client, Output(as_json=True), 0.0).run(Dataset("films", [], rows), rows)


async def test_without_peers_a_strangers_user_is_refused_with_what_to_set(instances):
    suite = await instances.stranger("0")
    client = await instances.client(feature=suite.address("feature"))
    refusals = 0
    for user in USERS:
        try:
            await client.get_user_features(user)
        except InvalidArgument as error:
            assert "FRESHET_FEATURE_ADDRESS" in error.explain()
            refusals += 1
    assert 0 < refusals < len(USERS)


async def test_a_partition_moves_when_its_owner_is_stopped(instances):
    suite = await instances.start("ingestion", "feature")
    writer = await instances.client(ingestion=suite.address("ingestion"))
    await written(writer, 2)
    await suite.stop("feature-1")
    await written(writer, 2, "while-moving")
    await suite.stop("feature-0")
    whole = await instances.stranger("0-3")
    token = await written(writer, 2, "after")
    await check_digests(instances, [whole.address("feature")], token)


async def test_a_partition_that_is_taken_over_ends_its_old_owner_and_nothing_counts_twice(instances):
    suite = await instances.start("ingestion", "feature")
    writer = await instances.client(ingestion=suite.address("ingestion"))
    writing, stop = [], asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            writing.append(await written(writer, 1, f"round-{len(writing)}"))

    task = asyncio.create_task(write())
    await eventually(lambda: len(writing) > 2)
    await suite.stop("feature-1")
    greedy = await instances.stranger("1-3")
    await eventually(lambda: suite.service("feature-0").child.returncode is not None)
    stop.set()
    await task
    assert suite.service("feature-0").child.returncode == TAKEN_OVER
    rest = await instances.stranger("0")
    addresses = [rest.address("feature"), greedy.address("feature")]
    await check_digests(instances, addresses, await written(writer, 1, "after"))


async def test_an_item_counts_once_while_a_partition_has_an_old_owner_and_a_new_one(instances):
    suite = await instances.start("ingestion", "feature", checkpoint_seconds="600")
    token = await written(await instances.client(ingestion=suite.address("ingestion")), 1)
    owners = f"0={suite.address('feature-0')},1-3=127.0.0.1:1"
    greedy = await instances.start(
        "feature", feature_instances=1, owned_partitions="1-3", feature_address=owners
    )
    client = await instances.client(feature=greedy.address("feature"))
    [item] = (await client.batch_get_item_features(["i0"], token)).item_features
    assert item.event_counts["rate"] == len(USERS)


async def test_a_watch_that_is_handed_on_ends_when_the_instance_that_was_asked_drains(instances):
    suite = await instances.start("feature")
    stranger = FEATURE_INSTANCES[0 if user_key("u1") % PARTITIONS >= PARTITIONS // 2 else 1]
    client = await instances.client(feature=suite.address(stranger))
    async with aclosing(client.watch_user_features("u1")) as answers:
        await anext(answers)
        await suite.stop(stranger)
        with pytest.raises(Unavailable) as caught:
            await anext(answers)
    assert caught.value.reason == "DRAINING"
