"""Erasures in the feature service: the state is that of a log in which the user has never been, whatever happens."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from shared.adapters.codecs.keys import item_key, partition_of, signed, user_key
from shared.adapters.jetstream.streams import last_position_of
from shared.adapters.postgres.tables import checkpoints, item_counters
from shared.domain.consistency import decode_token
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import (
    PARTITIONS,
    digests_served_and_anew,
    folds_anew,
    of_one_partition,
    token_of,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def visited(running: Running, users: list[str], visits: int = 5) -> str:
    """Visits in which these users go through the same items, so that items and neighbours count all of them."""
    events = [
        message("rate", user, [f"shared-{number}", f"shared-{number + 1}"])
        for number in range(visits)
        for user in users
    ]
    return await written(running, events)


async def completion(running: Running, user: str) -> str:
    """A token for where the newest erasure of the user's partition ends in the log."""
    names = running.space.names
    subject = names.erasure_subject(partition_of(user_key(user), PARTITIONS))
    return token_of(user, await last_position_of(running.space.nats, names, subject))


async def test_a_user_who_comes_back_counts_from_zero(features):
    ann, bob = of_one_partition("back", 2)
    await visited(features, [ann, bob])
    await features.client.erase_user(ann)
    token = await written(features, [message("click", ann, ["shared-1"])])
    back = await features.client.get_user_features(ann, token)
    assert (dict(back.event_counts), back.consumed_item_count) == ({"click": 1}, 0)
    served, anew = await digests_served_and_anew(features, await completion(features, ann))
    assert served == anew


async def test_a_user_who_comes_back_while_they_are_erased_counts_from_the_request_on(features):
    ann, bob = of_one_partition("hasty", 2)
    await visited(features, [ann, bob])
    erasing = asyncio.create_task(features.client.erase_user(ann))
    while not erasing.done():
        await visited(features, [ann, bob], 1)
    served, anew = await digests_served_and_anew(features, await completion(features, ann))
    assert served == anew


async def test_two_erasures_in_one_partition_leave_what_neither_has_touched(features):
    ann, bob, cat = of_one_partition("two", 3)
    await visited(features, [ann, bob, cat])
    await asyncio.gather(*[features.client.erase_user(user) for user in (ann, bob)])
    served, anew = await digests_served_and_anew(features, await completion(features, ann))
    assert served == anew
    left = [await features.client.get_user_features(user) for user in (ann, bob, cat)]
    assert [sum(each.event_counts.values()) for each in left] == [0, 0, 5]


async def test_a_kill_while_a_partition_is_folded_anew_is_made_good_for_at_the_next_start(features, brokers):
    ann, bob = of_one_partition("kill", 2)
    await visited(features, [ann, bob])
    feature = features.suite.service("feature")
    feature.pause()
    await features.client.erase_user(ann)
    token = await completion(features, ann)
    # What completes the erasure has been sent to the service; the log that it is to fold anew is out of its reach.
    brokers.nats.pause()
    try:
        feature.resume()
        await features.client.get_user_features(bob, token)
        assert await folds_anew(features)
        await checkpoint_behind(features, token)
        await features.suite.kill("feature")
    finally:
        brokers.nats.resume()
    await features.suite.start("feature")
    served, anew = await digests_served_and_anew(features, token)
    assert served == anew


async def checkpoint_behind(running: Running, token: str) -> None:
    """Wait until a checkpoint reflects what the token covers."""
    [(partition, position)] = decode_token(token).items()

    async def there() -> bool:
        query = sa.select(checkpoints.c.position).where(checkpoints.c.partition == partition)
        async with running.space.engine.connect() as connection:
            return (await connection.execute(query)).scalar_one() >= position

    await eventually(there)


async def stored_items(running: Running, item_id: str) -> int:
    """How many partitions have stored counters of an item."""
    of_item = item_counters.c.item_key == signed(item_key(item_id))
    async with running.space.engine.connect() as connection:
        query = sa.select(sa.func.count()).select_from(item_counters).where(of_item)
        return int((await connection.execute(query)).scalar_one())


async def test_of_an_item_that_only_an_erased_user_had_seen_nothing_is_stored_any_more(features):
    await written(features, [message("rate", "lone", ["seen-by-one"])])
    await eventually(lambda: stored_items(features, "seen-by-one"))
    await features.client.erase_user("lone")

    async def gone() -> bool:
        return await stored_items(features, "seen-by-one") == 0

    await eventually(gone)
