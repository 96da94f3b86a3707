"""`freshet replay-check` and `freshet skew`, as typed: they find what differs from the log, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa

from freshet.log.v1.log_pb2 import Exposure
from shared.adapters.codecs.keys import item_key, partition_of, signed, user_key
from shared.adapters.postgres.tables import item_counters, user_states
from tests.builders import message
from tests.conditions import eventually
from tests.integration.erasure.test_commands import Ended, freshet
from tests.integration.erasure.world import ErasureWorld
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import PARTITIONS, written

pytestmark = pytest.mark.asyncio(loop_scope="session")
SERVED = ("history_item_keys", "history_times_ms", "history_event_types")


async def typed(running: Running, command: str) -> tuple[Ended, dict[str, Any]]:
    """A command about the features of these services, and the document that it prints."""
    told = {"FRESHET_FEATURE_ADDRESS": running.suite.address("feature")}
    ended = await freshet(ErasureWorld(running.space, running), command, "--json", **told)
    return ended, json.loads(ended.stdout) if ended.stdout else {}


async def shown(running: Running, user: str) -> list[Exposure]:
    """Recommend to a user who has done something; the exposures of them."""
    token = await written(running, [message("rate", user, ["i1"]), message("click", user, ["i2"])])
    answer = await running.client.recommend(user, min_consistency_token=token)

    async def there() -> list[Exposure]:
        return [
            each for each in await exposures(running) if each.attribution_token == answer.attribution_token
        ]

    return await eventually(there)


async def exposures(running: Running) -> list[Exposure]:
    jetstream, stream = running.space.nats.jetstream(), running.space.names.stream("EXPOSURES")
    last = (await jetstream.stream_info(stream)).state.last_seq
    return [
        Exposure.FromString((await jetstream.get_msg(stream, position)).data)
        for position in range(1, last + 1)
    ]


def altered(exposure: Exposure, feature: str) -> Exposure:
    """The same exposure with another last byte in one of the served features."""
    copy = Exposure.FromString(exposure.SerializeToString())
    served = bytearray(getattr(copy, feature))
    served[-1] ^= 1
    setattr(copy, feature, bytes(served))
    copy.attribution_token = f"planted {feature}"
    return copy


async def test_without_differences_both_end_with_0(features):
    await shown(features, "true")
    (replayed, replay), (compared, skew) = await asyncio.gather(
        typed(features, "replay-check"), typed(features, "skew")
    )
    assert (replayed.code, replay["equal"], len(replay["partitions"])) == (0, True, PARTITIONS)
    assert (compared.code, skew["differences"], skew["exposures"]) == (0, 0, len(await exposures(features)))


async def test_skew_finds_exactly_the_served_features_that_were_altered(features):
    [true] = await shown(features, "false")
    jetstream, stream = features.space.nats.jetstream(), features.space.names.stream("EXPOSURES")
    subject = features.space.names.subject(f"exposures.v1.{partition_of(user_key('false'), PARTITIONS)}")
    planted = [
        (await jetstream.publish(subject, altered(true, feature).SerializeToString())).seq
        for feature in SERVED
    ]
    ended, document = await typed(features, "skew")
    for sequence in planted:
        await jetstream.delete_msg(stream, sequence)
    found = {(each["attribution_token"], each["feature"]) for each in document["first_differences"]}
    assert found == {(f"planted {feature}", feature) for feature in SERVED}
    assert (ended.code, document["differences"]) == (1, len(SERVED))


async def flip(running: Running, of_user: sa.ColumnElement[bool], of_item: sa.ColumnElement[bool]) -> None:
    """Alter the last byte of the records of a user and of an item, or put it back as it was."""
    async with running.space.engine.begin() as connection:
        for table, row in ((user_states, of_user), (item_counters, of_item)):
            [stored] = (await connection.execute(sa.select(table.c.record).where(row))).scalars()
            record = stored[:-1] + bytes([stored[-1] ^ 1])
            await connection.execute(sa.update(table).where(row).values(record=record))


async def test_replay_check_finds_exactly_the_partitions_whose_stored_state_was_altered(features):
    user, other = "altered-1", "altered-2"
    of_user = user_states.c.user_key == signed(user_key(user))
    of_item = item_counters.c.item_key == signed(item_key(f"of-{other}"))
    await written(features, [message("rate", each, [f"of-{each}"]) for each in (user, other)])
    await features.suite.stop("feature")
    await flip(features, of_user, of_item)
    await features.suite.start("feature")
    ended, document = await typed(features, "replay-check")
    await features.suite.kill("feature")
    await flip(features, of_user, of_item)
    await features.suite.start("feature")
    wrong = [each["partition"] for each in document["partitions"] if not each["equal"]]
    assert wrong == sorted(partition_of(user_key(each), PARTITIONS) for each in (user, other))
    assert (ended.code, document["equal"], f"partitions {wrong} differ" in ended.stderr) == (1, False, True)
