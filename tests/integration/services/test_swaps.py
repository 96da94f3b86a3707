"""Models come into service by the registry; bad ones never displace a good one, and nobody notices a swap."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import psutil
import pytest
import pytest_asyncio

from freshet.log.v1.log_pb2 import ModelEvent
from freshet.ranking.v1.ranking_pb2 import DegradedReason
from shared.adapters.codecs.bundle import Bundle, pack
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.adapters.postgres.registry import RegisteredModel, Registry, announce
from shared.domain.models.promotions import Cause, Promotion
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.integration.services.conftest import Running, services
from tests.unit.ranking.model import ITEMS, sum_bundle
from tests.unit.ranking.stepped import STEP, carrying

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(brokers, tmp_path_factory):
    """Services, of which ranking wants int8, a catalogue, and a user who clicked "a"."""
    names = ("ingestion", "feature", "ranking")
    async with services(
        brokers, tmp_path_factory.mktemp("swaps"), names, ranking_precision="int8"
    ) as started:
        await started.client.upsert_items([catalogue_item(each) for each in ITEMS])
        await started.client.write_user_event(message("click", items=["a"]))
        await eventually(lambda: sees_features(started))
        yield started


async def sees_features(running: Running) -> bool:
    """Whether ranking reaches the feature service: the two start side by side."""
    answer = await running.client.recommend("u1")
    return DegradedReason.DEGRADED_REASON_FEATURES_UNAVAILABLE not in answer.degraded


async def promote(running: Running, bundle: Bundle, packed: bytes | None = None) -> str:
    """Store, register and announce a model as the trainer does; returns its version."""
    intact, sealed = pack(bundle)
    if packed != b"":
        await NatsBundleStore(running.space.nats, running.space.names).put(sealed.digest, packed or intact)
    model = RegisteredModel(
        sealed.version, sealed.digest, "r", datetime.now(UTC), True, True, "better", 100, len(ITEMS), {}
    )
    await Registry(running.space.engine).register(model)
    event = ModelEvent(model_version=sealed.version, bundle_digest=sealed.digest, promoted=True)
    event.decide_time.GetCurrentTime()
    await announce(running.space.nats, running.space.names, event)
    return sealed.version


async def roll_back(running: Running, to: str, displaced: str) -> None:
    """Return to a model and announce it as the trainer does."""
    registry = Registry(running.space.engine)
    await registry.promotions.promote(Promotion(to, Cause.ROLLBACK, "worse", displaced, datetime.now(UTC)))
    model = await registry.model(to)
    event = ModelEvent(model_version=to, bundle_digest=model.bundle_digest, promoted=True)
    event.decide_time.GetCurrentTime()
    await announce(running.space.nats, running.space.names, event)


def model(number: int) -> Bundle:
    """A good model; each number is another version."""
    return replace(sum_bundle(), item_biases=np.full(len(ITEMS), number, np.float32))


async def serves(running: Running, version: str) -> None:
    """Wait until this version serves."""

    async def there() -> bool:
        return (await running.client.get_model_status()).serving.model_version == version

    await eventually(there)


async def refusal(running: Running, version: str) -> str:
    """Wait until this version is refused; returns the reason."""

    async def reasons() -> list[str]:
        refused = (await running.client.get_model_status()).refused
        return [each.reason for each in refused if each.model_version == version]

    return (await eventually(reasons))[0]


async def test_the_champion_comes_into_service_and_ranks(running):
    version = await promote(running, model(1))
    await serves(running, version)
    answer = await running.client.recommend("u1")
    assert answer.model_version == version
    assert [(answer.results[0].item_id, answer.results[0].score)] == [("a", 2.0)]


async def test_the_int8_encoder_serves_when_it_is_wanted_and_carried(running):
    await serves(running, await promote(running, carrying()))
    serving = (await running.client.get_model_status()).serving
    assert (serving.precision, serving.precision_reason) == ("int8", "")
    assert [each.score for each in (await running.client.recommend("u1")).results[:2]] == [1 + STEP, STEP]


async def test_a_model_without_an_int8_encoder_serves_float32_and_says_why(running):
    await serves(running, await promote(running, model(2)))
    serving = (await running.client.get_model_status()).serving
    assert serving.precision == "float32"
    assert "carries no int8 encoder" in serving.precision_reason


@pytest.mark.parametrize(
    "number, fault, packed",
    [
        (11, {}, b"no bundle"),
        (12, {}, b""),
        (13, {}, pack(model(14))[0]),
        (15, {"encoder": b"no graph"}, None),
        (16, {"golden": {}}, None),
        (17, {"item_keys": np.array([4, 3, 2, 1], np.uint64)}, None),
    ],
    ids=["garbage", "missing", "another bundle", "no graph", "no golden outputs", "unordered keys"],
)
async def test_a_bad_bundle_is_refused_with_the_reason_and_the_good_one_serves_on(
    running, number, fault, packed
):
    good = await promote(running, model(number + 100))
    await serves(running, good)
    assert await refusal(running, await promote(running, replace(model(number), **fault), packed))
    answer = await running.client.recommend("u1")
    assert (answer.model_version, answer.results[0].score) == (good, number + 101.0)


async def test_a_model_that_a_rollback_returns_to_comes_back_into_service(running):
    older, newer = await promote(running, model(21)), await promote(running, model(22))
    await serves(running, newer)
    await roll_back(running, older, newer)
    await serves(running, older)
    answer = await running.client.recommend("u1")
    assert (answer.model_version, answer.results[0].score) == (older, 22.0)


async def test_an_announcement_that_cannot_be_read_harms_nobody(running):
    subject = running.space.names.subject("models.v1.promoted")
    await running.space.nats.jetstream().publish(subject, b"\xff\xff")
    await serves(running, await promote(running, model(31)))


def forks(running: Running) -> psutil.Process:
    """The process that ranking has its loads forked from."""
    children = psutil.Process(running.suite.service("ranking").pid).children()
    return next(each for each in children if "services.ranking.model.loader" in each.cmdline())


def load_of(running: Running) -> psutil.Process | None:
    """The process that loads a model for ranking now."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
        return next(iter(forks(running).children()), None)
    return None


async def test_a_load_that_was_killed_is_begun_again(running):
    version = await promote(running, model(41))
    (await eventually(lambda: load_of(running))).kill()
    await serves(running, version)


async def test_a_model_is_loaded_also_when_what_loads_are_forked_from_was_killed(running):
    before = forks(running)
    before.kill()
    await serves(running, await promote(running, model(42)))
    assert forks(running) != before


async def keep_asking(running: Running, seen: set[tuple[str, float]]) -> None:
    """Note which version gave which score; ends with the first call that fails."""
    while True:
        answer = await running.client.recommend("u1")
        seen.add((answer.model_version, answer.results[0].score))


async def test_no_call_fails_during_swaps_and_each_answer_is_of_one_model(running):
    seen: set[tuple[str, float]] = set()
    callers = [asyncio.create_task(keep_asking(running, seen)) for _ in range(2)]
    scores = {}
    for number in range(50, 56):
        scores[await promote(running, model(number))] = number + 1.0
        await serves(running, list(scores)[-1])
    assert not any(caller.done() for caller in callers)
    for caller in callers:
        caller.cancel()
    assert {each for each in seen if each[0] in scores} <= set(scores.items())


async def test_a_service_that_starts_beside_a_champion_is_ready_with_it(running):
    version = await promote(running, model(61))
    await serves(running, version)
    await running.suite.restart("ranking")
    assert (await running.client.get_model_status()).serving.model_version == version


async def test_a_service_that_starts_beside_a_champion_that_is_refused_serves_the_one_before_it(running):
    good = await promote(running, model(62))
    await serves(running, good)
    bad = await promote(running, replace(model(63), encoder=b"no graph"))
    await refusal(running, bad)
    await running.suite.restart("ranking")
    status = await running.client.get_model_status()
    assert (status.serving.model_version, status.refused[0].model_version) == (good, bad)
