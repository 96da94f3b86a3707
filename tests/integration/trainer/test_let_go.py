"""Deltas keep the newest events of so many users at hand; what others did is recalled from the archive."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import numpy as np
import pytest

from freshet.log.v1.log_pb2 import Delta
from services.trainer.deltas.delta_worker import DeltaTools, DeltaWorker
from services.trainer.main import teaching
from shared.adapters.codecs.bundle import Bundle
from shared.adapters.codecs.keys import item_keys
from shared.adapters.jetstream.bundle_store import NatsBundleStore
from shared.adapters.jetstream.deltas import delta_stream, delta_subject
from shared.adapters.jetstream.log_range import read_stream
from shared.adapters.postgres.archive_batch import ArchiveBatch
from shared.domain.models.item_rules import ItemRules
from shared.domain.models.mixture import Experts, Mixture
from tests.beside import beside
from tests.integration.trainer.deltas import NEW, describe_new_item, told_up_to
from tests.integration.trainer.favourites import favouring, registered
from tests.integration.trainer.world import ITEMS, World, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


def deltas_that_know(world: World, users: int) -> AbstractAsyncContextManager[None]:
    """Deltas of the champion, with the newest events of so many users at hand."""
    store = NatsBundleStore(world.nats, world.names)
    tools = DeltaTools(
        world.nats, world.names, world.archive, world.registry, store, teaching("video"), users
    )
    return beside(DeltaWorker(tools).run(0.05))


def ruled() -> Bundle:
    """A model with rules that know nothing yet, which has learned nothing of the log."""
    made = favouring([1], log_to=0)
    empty = ItemRules.of_rows(np.zeros(ITEMS + 1, np.int64), np.empty(0), np.empty(0), np.ones(ITEMS, "f4"))
    mixture = Mixture(1.0, 1e-3, tuple(teaching("video").target))
    return replace(made, manifest=replace(made.manifest, mixture=mixture), experts=Experts(empty))


async def archive(world: World, to_position: int) -> None:
    """The archive catches up with the log."""
    batch = ArchiveBatch(to_position)
    async for messages in read_stream(world.nats, world.names.events, world.names.event_subject("*", "*")):
        batch.add_events([message.record for message in messages])
    await world.archive.write(batch)


async def test_what_a_user_did_before_is_recalled_once_the_archive_holds_it(new_world):
    world = await new_world()
    version = await registered(world, ruled())
    await describe_new_item(world)
    async with deltas_that_know(world, users=1):
        last = await world.happen([("ann", "item 1"), ("ann", NEW)], archived=False)
        await eventually(told_up_to(world, version, last))
        await world.happen([("bob", "item 2")], archived=False)  # for whom she is let go
        last = await world.happen([("ann", "item 3")], archived=False)
        await archive(world, last)
        await eventually(told_up_to(world, version, await world.happen([("ann", NEW)], archived=False)))
    assert await told(world, version, "item 1", "item 3") == pytest.approx(0.9)


async def told(world: World, version: str, item: str, follower: str) -> float:
    """How often the second is told to have followed the first."""
    pair, count = item_keys([item, follower]), 0.0
    subject = delta_subject(world.names, version)
    async for batch in read_stream(world.nats, delta_stream(world.names), subject):
        for delta in (Delta.FromString(message.payload) for message in batch):
            rules, followers = (np.frombuffer(each, "<u8") for each in (delta.rule_keys, delta.follower_keys))
            found = (rules == pair[0]) & (followers == pair[1])
            count += float(np.frombuffer(delta.counts, "<f4")[found].sum())
    return count
