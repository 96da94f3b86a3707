"""What the archive tells of the newest traffic."""

from __future__ import annotations

import pytest

from freshet.event.v1.event_pb2 import EventItem
from shared.adapters.archive import Archive
from shared.adapters.archived_traffic import ArchivedTraffic
from shared.adapters.keys import user_key
from shared.domain.event import EventType
from tests.builders import message
from tests.integration.adapters.test_archive import batch

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def archive(space) -> Archive:
    return Archive(space.engine)


@pytest.fixture
def traffic(space) -> ArchivedTraffic:
    return ArchivedTraffic(space.engine)


async def test_the_newest_events_of_a_stretch_are_those_of_its_end_in_log_order(archive, traffic):
    bought = message("purchase", event_id="b", user_id="u2")
    rows = [message(event_id=name) for name in "acdef"]
    await archive.write(batch(rows[0], bought, *rows[1:]))
    clicks = [EventType.CLICK]
    assert (await traffic.newest(1, 5, clicks, 2)).position.tolist() == [4, 5]
    assert (await traffic.newest(1, 5, clicks, 9)).position.tolist() == [3, 4, 5]
    assert (await traffic.newest(0, 9, [EventType.PURCHASE], 9)).position.tolist() == [2]
    assert len(await traffic.newest(6, 9, clicks, 9)) == 0


async def test_items_of_users_are_counted_up_to_a_position_and_of_the_types_asked_for(archive, traffic):
    pair = [EventItem(item_id="x"), EventItem(item_id="y")]
    basket = message("purchase", event_id="b", user_id="u2")
    del basket.items[:]
    basket.items.extend(pair)
    await archive.write(batch(message("click", event_id="a"), basket, message("click", event_id="c")))
    one, two, nobody = user_key("u1"), user_key("u2"), user_key("u3")
    both = [EventType.CLICK, EventType.PURCHASE]
    assert await traffic.item_counts([one, two, nobody], 9, both) == {one: 2, two: 2}
    assert await traffic.item_counts([one], 2, both) == {one: 1}
    assert await traffic.item_counts([one, two], 9, [EventType.CLICK]) == {one: 2}
