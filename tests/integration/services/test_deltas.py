"""A served model learns within seconds: the trainer tells, ranking applies, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from services.trainer.deltas.delta_worker import DeltaTools, DeltaWorker
from services.trainer.main import teaching
from services.trainer.text_embedding import NO_EMBEDDING, text_embedding
from shared.adapters.codecs.bundle import Bundle
from shared.adapters.codecs.keys import item_key, item_keys
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.adapters.jetstream.deltas import decode_delta, delta_stream, delta_subject, encode_delta
from shared.adapters.jetstream.log_range import read_stream
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.registry import Registry
from shared.domain.events.event import EventType
from shared.domain.models.delta import Delta
from shared.domain.models.item_rules import ItemRules
from shared.domain.models.mixture import Experts, Mixture
from tests.beside import beside
from tests.builders import catalogue_item, message
from tests.conditions import eventually
from tests.integration.services.conftest import Running, services
from tests.integration.services.test_swaps import promote, sees_features, serves
from tests.unit.ranking.model import ITEMS, sum_bundle

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVERY_SECONDS = 0.1
CATEGORIES = {"a": "old", "b": "old", "c": "fresh", "d": "fresh"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(brokers, tmp_path_factory):
    """Services, a catalogue with categories, and a user who clicked "a"."""
    names = ("ingestion", "feature", "ranking")
    async with services(brokers, tmp_path_factory.mktemp("deltas"), names) as started:
        items = [catalogue_item(each, title=each, categories=[CATEGORIES[each]]) for each in ITEMS]
        await started.client.upsert_items(items)
        await started.client.write_user_event(message("click", items=["a"]))
        await eventually(lambda: sees_features(started))
        yield started


@asynccontextmanager
async def trainer(
    running: Running, embedding: str = NO_EMBEDDING, kept_seconds: float = 0.0
) -> AsyncIterator[None]:
    """The trainer's worker with this embedding of texts, for a stream that keeps deltas for so long; killed at the
    end."""
    space = running.space
    tools = DeltaTools(
        space.nats,
        space.names,
        Archive(space.engine),
        Registry(space.engine),
        NatsBundleStore(space.nats, space.names),
        teaching("video"),
        users=100,
        embedding=text_embedding(embedding),
        kept_seconds=kept_seconds,
    )
    async with beside(DeltaWorker(tools).run(EVERY_SECONDS)):
        yield


def model(number: int, log_to: int) -> Bundle:
    """A model with rules that know nothing yet; each number is another version."""
    made = sum_bundle()
    mixture = Mixture(1.0, 1e-3, (int(EventType.CLICK),))
    rules = ItemRules.of_rows(np.zeros(5, np.int64), np.empty(0), np.empty(0), np.full(4, 20, np.float32))
    manifest = replace(made.manifest, mixture=mixture, log_to=log_to)
    return replace(
        made, manifest=manifest, experts=Experts(rules), item_biases=np.full(4, number, np.float32)
    )


async def champion(running: Running, number: int) -> str:
    """A new model that has learned the log up to now, in service."""
    version = await promote(running, model(number, await running.log_length()))
    await serves(running, version)
    return version


async def clicks(running: Running, user: str, *items: str) -> None:
    for item in items:
        await running.client.write_user_event(message("click", user_id=user, items=[item]))


async def scores(running: Running) -> dict[str, float]:
    answer = await running.client.recommend("u1", page_size=20)
    return {result.item_id: result.score for result in answer.results}


async def status(running: Running):
    return (await running.client.get_model_status()).serving


async def stored(running: Running, version: str) -> list[Delta]:
    """The deltas of a model."""
    names = running.space.names
    batches = read_stream(running.space.nats, delta_stream(names), delta_subject(names, version))
    return [decode_delta(each.payload, 4) async for batch in batches for each in batch]


async def send(running: Running, version: str, payload: bytes) -> None:
    await running.space.nats.jetstream().publish(delta_subject(running.space.names, version), payload)


def delta(version: str, sequence: int, digest: bytes = b"", **rows) -> Delta:
    """A delta that says that "b" followed "a" once more."""
    fields = {
        "item_keys": np.empty(0, np.uint64),
        "vectors": np.empty((0, 4), np.float32),
        "biases": np.empty(0, np.float32),
        "rule_keys": item_keys(["a"]),
        "follower_keys": item_keys(["b"]),
        "counts": np.ones(1, np.float32),
    }
    return Delta(version, sequence, 1000 + sequence, **{**fields, **rows}).sealed(digest)


async def test_what_others_did_behind_an_item_raises_what_follows_it(running):
    await champion(running, 1)
    before = await scores(running)
    async with trainer(running):
        await clicks(running, "u2", "a", "b")
        after = await eventually(lambda: raised(running, "b", before["b"]))
    assert after["b"] - before["b"] == pytest.approx(np.log1p(1 / 21 / 1e-3), rel=1e-4)
    assert (after["c"], after["d"]) == (before["c"], before["d"])


async def raised(running: Running, item: str, score: float) -> dict[str, float] | None:
    found = await scores(running)
    return found if found.get(item, 0.0) > score else None


async def test_an_item_nobody_has_touched_is_recommended_by_its_content(running):
    version = await champion(running, 2)
    async with trainer(running):
        await running.client.upsert_items([catalogue_item("n", title="n", categories=["old"])])
        found = await eventually(lambda: raised(running, "n", 0.0))
        assert found["n"] == pytest.approx(2.5)  # half of what "a" is to itself, and the bias
        assert (await status(running)).item_count == 5
        assert (await stored(running, version))[-1].item_keys.tolist() == [item_key("n")]


async def test_a_killed_trainer_goes_on_where_it_was_and_tells_nothing_twice(running):
    version = await champion(running, 3)
    async with trainer(running):
        await clicks(running, "u3", "a", "b")
        await eventually(lambda: told(running, version, "a", "b", 1.0))
    await clicks(running, "u3", "d")
    async with trainer(running):
        await eventually(lambda: told(running, version, "b", "d", 1.0))
    deltas = await stored(running, version)
    assert [each.sequence for each in deltas] == list(range(1, len(deltas) + 1))
    assert total(deltas, "a", "b") == 1.0 and total(deltas, "a", "d") == pytest.approx(0.9)
    await eventually(lambda: reached(running, len(deltas)))


async def test_deltas_follow_each_other_also_when_those_before_a_quiet_time_have_passed_their_age(running):
    version = await champion(running, 9)
    async with trainer(running, kept_seconds=4 * EVERY_SECONDS):
        await clicks(running, "u4", "a", "b")
        await eventually(lambda: told(running, version, "a", "b", 1.0))
        await eventually(lambda: reached(running, 3))
    last = (await stored(running, version))[-1]
    assert len(last.counts) == len(last.item_keys) == 0
    await forget(running, version, but_last=1)
    async with trainer(running):
        await clicks(running, "u4", "c")
        await eventually(lambda: reached(running, last.sequence + 1))
    assert (await status(running)).delta_refused_reason == ""


async def test_deltas_that_were_purged_are_told_again_and_none_counts_twice(running):
    version = await champion(running, 10)
    before = await scores(running)
    async with trainer(running):
        await clicks(running, "u5", "a", "b", "c")
        await eventually(lambda: told(running, version, "b", "c", 1.0))
        await reached_all(running, version)
        expected = await scores(running)
        await forget(running, version, but_last=0)
        await running.client.upsert_items([catalogue_item("p", title="p", categories=["old"])])
        await eventually(lambda: raised(running, "p", 0.0))
    assert (await status(running)).delta_refused_reason == ""
    after = await scores(running)
    assert after["b"] > before["b"]
    assert {item: after[item] for item in "abcd"} == pytest.approx({item: expected[item] for item in "abcd"})


async def forget(running: Running, version: str, but_last: int) -> None:
    """As the stream does with deltas that have passed their age."""
    jetstream, names = running.space.nats.jetstream(), running.space.names
    await jetstream.purge_stream(delta_stream(names), subject=delta_subject(names, version), keep=but_last)


def total(deltas: list[Delta], item: str, follower: str) -> float:
    """How often a follower was told of."""
    return sum(
        float(
            each.counts[(each.rule_keys == item_key(item)) & (each.follower_keys == item_key(follower))].sum()
        )
        for each in deltas
    )


async def told(running: Running, version: str, item: str, follower: str, count: float) -> bool:
    return total(await stored(running, version), item, follower) == pytest.approx(count)


async def reached(running: Running, sequence: int) -> bool:
    return (await status(running)).delta_sequence >= sequence


async def reached_all(running: Running, version: str) -> None:
    """Wait until all deltas of the model are applied."""
    last = (await stored(running, version))[-1].sequence
    await eventually(lambda: reached(running, last))


async def test_a_delta_that_does_not_fit_is_refused_and_the_one_that_does_is_applied(running):
    version = await champion(running, 4)
    first = delta(version, 1)
    for bad in (b"\xff\xff", encode_delta(replace(first, counts=np.full(1, 9, np.float32)))):
        await send(running, version, bad)
        await eventually(lambda: refused(running))
    await send(running, version, encode_delta(delta(version, 2, first.digest)))
    await eventually(lambda: refused(running, "delta 2 does not follow 0"))
    await send(running, version, encode_delta(first))
    await eventually(lambda: reached(running, 1))
    assert (await status(running)).delta_refused_reason == ""
    assert (await status(running)).delta_position == 1001


async def refused(running: Running, reason: str = "") -> bool:
    found = (await status(running)).delta_refused_reason
    return bool(found) and reason in found


async def test_rules_that_name_items_without_a_row_are_refused(running):
    version = await champion(running, 5)
    await send(running, version, encode_delta(delta(version, 1, rule_keys=item_keys(["nowhere"]))))
    await eventually(lambda: refused(running, "without a row"))


async def test_a_ranking_that_comes_back_applies_all_deltas_of_its_model(running):
    version = await champion(running, 6)
    first = delta(version, 1)
    await send(running, version, encode_delta(first))
    await send(running, version, encode_delta(delta(version, 2, first.digest)))
    await eventually(lambda: reached(running, 2))
    expected = await scores(running)
    await running.suite.kill("ranking")
    await running.suite.start("ranking")
    await eventually(lambda: back(running))
    await eventually(lambda: reached(running, 2))
    assert (await scores(running))["b"] == pytest.approx(expected["b"])


async def back(running: Running) -> bool:
    with suppress(Exception):
        return await sees_features(running)
    return False


async def test_a_full_model_supersedes_the_deltas(running):
    version = await champion(running, 7)
    await send(running, version, encode_delta(delta(version, 1)))
    await eventually(lambda: reached(running, 1))
    await champion(running, 8)
    assert (await status(running)).delta_sequence == 0
    assert (await scores(running))["b"] == 8.0
