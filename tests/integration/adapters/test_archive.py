"""The archive: every event once, and columns for the trainer."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import sqlalchemy as sa

from freshet.catalog.v1.item_pb2 import Item
from freshet.event.v1.event_pb2 import EventItem, UserEvent
from shared.adapters.codecs.event_codec import time_ms
from shared.adapters.codecs.keys import item_key, user_key
from shared.adapters.jetstream.log_reader import LogRecord
from shared.adapters.postgres.archive import Archive
from shared.adapters.postgres.archive_batch import ArchiveBatch
from shared.adapters.postgres.database import ensure_tables, schema_name
from shared.adapters.postgres.erasure_store import ErasureStore
from shared.adapters.postgres.tables import items
from shared.domain.events.event import EventType
from tests.builders import catalogue_item, message

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def archive(space) -> Archive:
    return Archive(space.engine)


def batch(*events, first: int = 1, position: int | None = None) -> ArchiveBatch:
    made = ArchiveBatch(position or first + len(events) - 1)
    made.add_events(
        [
            LogRecord(first + offset, "events.v1.3.click", event.event_id, event.SerializeToString())
            for offset, event in enumerate(events)
        ]
    )
    return made


async def test_an_empty_archive_stands_at_0(archive):
    assert await archive.position() == await archive.count_after(0) == 0
    assert len(await archive.read_columns(10**9)) == 0


async def test_what_was_written_is_found_by_id(archive):
    await archive.write(batch(message(event_id="a"), message(event_id="b"), position=9))
    assert await archive.positions_of(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert (await archive.position(), await archive.count_after(1)) == (9, 1)


async def test_events_are_counted_behind_a_position_and_up_to_another(archive):
    await archive.write(batch(*[message(event_id=each) for each in "abcd"]))
    assert [await archive.count_after(1, to) for to in (None, 3, 1, 0)] == [3, 2, 0, 0]


async def test_the_newest_event_of_each_user_is_found_and_reversals_are_passed_over(archive):
    old, new = message(event_id="a"), message(event_id="b")
    reversal = message("reversal", event_id="c", corrects_event_id="b")
    await archive.write(batch(old, new, reversal, message(event_id="d", user_id="u2")))
    found = await archive.newest_payloads([user_key("u1"), user_key("u2"), user_key("u3")])
    told = {key: (position, UserEvent.FromString(each).event_id) for key, (position, each) in found.items()}
    assert told == {user_key("u1"): (2, "b"), user_key("u2"): (4, "d")}


async def test_an_event_is_found_by_its_position(archive):
    await archive.write(batch(message(event_id="a"), message(event_id="b"), position=9))
    assert UserEvent.FromString(await archive.payload_at(2)).event_id == "b"
    assert await archive.payload_at(3) == b""


async def test_an_archive_of_an_earlier_version_gets_the_index(archive, space):
    schema = schema_name(space.name)
    async with space.engine.begin() as connection:
        await connection.execute(sa.text(f"DROP INDEX {schema}.events_of_user"))
    await ensure_tables(space.engine, space.name)
    async with space.engine.connect() as connection:
        indexes = await connection.run_sync(lambda sync: sa.inspect(sync).get_indexes("event", schema))
    assert ["user_key", "position"] in [each["column_names"] for each in indexes]


async def test_an_event_that_comes_again_stays_at_its_first_position(archive):
    await archive.write(batch(message(event_id="a")))
    await archive.write(batch(message(event_id="a"), message(event_id="b"), first=5))
    assert await archive.positions_of(["a", "b"]) == {"a": 1, "b": 6}


async def test_the_same_stretch_again_changes_nothing(archive):
    stretch = batch(message(event_id="a"), message(event_id="b"))
    await asyncio.gather(archive.write(stretch), archive.write(stretch))
    assert (await archive.count_after(0), await archive.position()) == (2, 2)


async def test_the_position_never_goes_back(archive):
    await archive.write(ArchiveBatch(50))
    await archive.write(ArchiveBatch(10))
    assert await archive.position() == 50


async def test_columns_hold_a_row_for_each_item_of_each_event(archive):
    event = message("rate", event_id="a", items=())
    event.items.extend([EventItem(item_id="x", value=4), EventItem(item_id="y")])
    await archive.write(batch(event, message("search", event_id="b", items=()), message(event_id="c")))
    columns = await archive.read_columns(3)
    assert columns.position.tolist() == [1, 1, 3]
    assert columns.item_key.tolist() == [item_key("x"), item_key("y"), item_key("i1")]
    assert columns.event_type.tolist() == [EventType.RATE, EventType.RATE, EventType.CLICK]
    assert set(columns.user_key.tolist()) == {user_key("u1")}
    assert set(columns.time_ms.tolist()) == {time_ms(event)}
    np.testing.assert_array_equal(columns.value, np.array([4, np.nan, np.nan], np.float32))


async def test_columns_end_where_they_are_told_to(archive):
    await archive.write(batch(*[message(event_id=f"e{n}") for n in range(10)]))
    assert (await archive.read_columns(4)).position.tolist() == [1, 2, 3, 4]


async def test_what_is_no_event_is_left_out_and_named():
    made = ArchiveBatch(2)
    good = LogRecord(2, "events.v1.0.click", "e1", message(event_id="e1").SerializeToString())
    unreadable = made.add_events([LogRecord(1, "events.v1.0.click", "e0", b"\xff\xff"), good])
    assert [each.position for each in unreadable] == [1]
    assert [row[:2] for row in made.events] == [(2, "e1")]


async def test_the_newest_version_of_an_item_counts(archive, space):
    made = ArchiveBatch(2)
    for position, title in enumerate(("old", "new"), 1):
        payload = catalogue_item("x", title=title).SerializeToString()
        made.add_item(LogRecord(position, "items.v1.x", "", payload))
    await archive.write(made)
    await archive.write(made)
    assert len(made.items) == 1 and await archive.position() == 2


async def test_an_instance_that_lags_brings_no_erased_event_back(archive, space):
    stretch = batch(message(event_id="a"), message(event_id="b"))
    await archive.write(stretch)
    await ErasureStore(space.engine).delete_rows(user_key("u1"), 2)
    await archive.write(stretch)
    assert await archive.count_after(0) == 0


async def test_an_instance_that_lags_brings_no_older_version_of_an_item_back(archive, space):
    newer, older = ArchiveBatch(9), ArchiveBatch(5)
    newer.add_item(LogRecord(9, "items.v1.1", "", catalogue_item("i", title="new").SerializeToString()))
    older.add_item(LogRecord(5, "items.v1.1", "", catalogue_item("i", title="old").SerializeToString()))
    await archive.write(newer)
    await archive.write(older)
    async with space.engine.connect() as connection:
        payload = (await connection.execute(sa.select(items.c.payload))).scalar_one()
    assert Item.FromString(payload).title == "new"
