"""The catalogue follows the log."""

from __future__ import annotations

import asyncio

import pytest

from shared.adapters.codecs.keys import item_key
from shared.adapters.jetstream.catalogue import Catalogue, caught_up
from tests.builders import catalogue_item

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_message_that_is_no_item_holds_up_nobody_who_waits_for_the_catalogue(space):
    jetstream = space.nats.jetstream()
    await jetstream.publish(space.names.subject("items.v1.1"), catalogue_item("a").SerializeToString())
    await jetstream.publish(space.names.subject("items.v1.2"), b"no item")
    made = Catalogue()
    following = asyncio.create_task(made.follow(space.nats, space.names))
    async with asyncio.timeout(5):
        await caught_up(made, space.nats, space.names)
    following.cancel()
    assert made.id_of(item_key("a")) == "a"
