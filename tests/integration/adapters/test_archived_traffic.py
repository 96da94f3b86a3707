"""What the archive tells of the newest traffic."""

from __future__ import annotations

import pytest

from shared.adapters.codecs.keys import user_key
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.archived_traffic import ArchivedTraffic
from shared.domain.events.event import EventType
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


async def test_lengths_of_histories_are_counted_before_a_position_of_the_types_asked_for_and_up_to_a_number(
    archive, traffic
):
    bought = message("purchase", event_id="b", user_id="u2")
    await archive.write(batch(*(message(event_id=name) for name in "acd"), bought, message(event_id="e")))
    one, two, nobody = user_key("u1"), user_key("u2"), user_key("u3")
    both = [EventType.CLICK, EventType.PURCHASE]
    assert await traffic.history_lengths([one, two, nobody], 9, both, 50) == {one: 4, two: 1, nobody: 0}
    assert await traffic.history_lengths([one, two], 4, both, 50) == {one: 3, two: 0}
    assert await traffic.history_lengths([one, two], 9, [EventType.CLICK], 2) == {one: 2, two: 0}
