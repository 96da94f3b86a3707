"""An item that no model has a row for, and how far deltas have told the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from freshet.catalog.v1.item_pb2 import Item
from freshet.log.v1.log_pb2 import Delta
from shared.adapters.codecs.keys import item_key
from shared.adapters.jetstream.deltas import delta_stream, delta_subject
from shared.adapters.jetstream.log_range import read_stream
from tests.integration.trainer.world import World

NEW = "new item"


async def describe_new_item(world: World) -> None:
    """From now on each event about it is told."""
    item = Item(item_id=NEW, categories=["drama"])
    subject = world.names.item_subject(item_key(NEW))
    await world.nats.jetstream().publish(subject, item.SerializeToString())


def told_up_to(world: World, version: str, position: int) -> Callable[[], Awaitable[bool]]:
    """Whether deltas of a model tell the log up to a position."""

    async def told() -> bool:
        stream, subject = delta_stream(world.names), delta_subject(world.names, version)
        stored = [each async for batch in read_stream(world.nats, stream, subject) for each in batch]
        return bool(stored) and Delta.FromString(stored[-1].payload).to_position >= position

    return told
