"""Whoever comes to a model late reads all of its deltas in one go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from services.ranking.model.delta_watch import DeltaWatch
from services.ranking.model.model_slot import ModelSlot
from services.ranking.model.scorer import Scorer
from shared.adapters.codecs.bundle import Bundle, pack
from shared.adapters.jetstream.deltas import publish_delta
from shared.adapters.jetstream.streams import ensure_streams
from shared.domain.models.delta import Chain, Delta
from shared.domain.models.item_rules import ItemRules
from shared.domain.models.mixture import Experts, Mixture
from shared.domain.retention import DAY_SECONDS, MIB, Limit
from shared.domain.stream_settings import StreamSettings
from tests.conditions import eventually
from tests.integration.namespaces import SMALL, Namespace, new_namespace
from tests.unit.ranking.model import ITEMS, catalogue, golden, sum_bundle

pytestmark = pytest.mark.asyncio(loop_scope="session")
DELTAS, PAIRS, MODEL_ITEMS = 250, 5_000, 17_000
WHEN = datetime(2025, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def space(brokers) -> AsyncIterator[Namespace]:
    """With room for more deltas than NATS lets a reader have on the way."""
    async with new_namespace(brokers) as made:
        large = SMALL._replace(deltas=Limit(256 * MIB, DAY_SECONDS))
        await ensure_streams(made.nats, made.names, StreamSettings(retention=large))
        yield made


def model() -> Bundle:
    """Of many items, with rules that know nothing yet."""
    made, items = sum_bundle(), MODEL_ITEMS
    rules = ItemRules.of_rows(np.zeros(items + 1, np.int64), np.empty(0), np.empty(0), np.ones(items, "f4"))
    table = {
        "item_keys": np.arange(1, items + 1, dtype=np.uint64),
        "item_vectors": np.ones((items, 4), np.float32),
        "item_biases": np.zeros(items, np.float32),
    }
    manifest = replace(made.manifest, mixture=Mixture(1.0, 1.0, (3,)), item_count=items)
    return pack(replace(made, manifest=manifest, experts=Experts(rules), golden=golden(), **table))[1]


def deltas(made: Bundle) -> Iterator[Delta]:
    """As large as they get: all rows, and in each other pairs of items."""
    chain, random = Chain(made.version), np.random.default_rng(0)
    rows = made.item_keys, made.item_vectors, made.item_biases
    for sequence in range(1, DELTAS + 1):
        row, follower = np.divmod(np.unique(random.integers(0, MODEL_ITEMS**2, PAIRS)), MODEL_ITEMS)
        pairs = made.item_keys[row], made.item_keys[follower], np.ones(len(row), np.float32)
        delta = Delta(made.version, sequence, sequence, *rows, *pairs).sealed(chain.digest)
        chain.advance(delta)
        yield delta


async def test_many_large_deltas_are_applied_without_losing_the_reader_on_the_way(space):
    made, slot, behind = model(), ModelSlot(catalogue(ITEMS)), 0
    for delta in deltas(made):
        behind = await publish_delta(space.nats, space.names, delta, behind)
    await slot.swap(Scorer(made), WHEN)

    async def all_are_applied() -> bool:
        return slot.deltas.sequence == DELTAS

    with capture_logs() as logs:
        watching = asyncio.create_task(DeltaWatch(slot).run(space.nats, space.names))
        await eventually(all_are_applied)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert [log for log in logs if log["event"] == "log consumer is made anew"] == []
