"""Users that left memory: they count on, and come back as they were, whatever happens to the service."""

from __future__ import annotations

import asyncio
import uuid

import pytest
import sqlalchemy as sa

from freshet.ranking.v1.ranking_pb2 import DegradedReason
from shared.adapters.codecs.keys import signed, user_key
from shared.adapters.postgres.tables import user_states
from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import (
    digests_served_and_anew,
    number_of_users,
    without_postgres,
    written,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")
USERS = [f"many-{number}" for number in range(300)]
IN_MEMORY, ROUNDS, ITEMS = 50, 20, 3


class Load:
    """Writes an event of every user, round after round. In the end they have consumed more than a history holds."""

    def __init__(self, running: Running) -> None:
        self.round = 0
        self.all = asyncio.create_task(self._write(running))

    async def _write(self, running: Running) -> str:
        token = ""
        for self.round in range(1, ROUNDS + 1):
            items = [f"item-{self.round}-{number}" for number in range(ITEMS)]
            events = [message("rate", user, items) for user in USERS]
            token = await written(running, events)
        return token


async def few_in_memory(running: Running, token: str) -> bool:
    """Whether users that are too many were let go after all that the token covers."""
    known = await number_of_users(running, token)
    samples = [f'freshet_users{{where="{where}"}}' for where in ("memory", "away")]
    memory, away = [await running.metric("feature", sample) for sample in samples]
    return memory <= IN_MEMORY and memory + away == known


async def test_a_kill_under_load_loses_and_doubles_nothing_of_users_beyond_memory(features):
    load = Load(features)
    await eventually(lambda: load.round > ROUNDS // 4)
    await features.suite.kill("feature")
    await features.suite.start("feature")
    token = await load.all
    served, anew = await digests_served_and_anew(features, token)
    assert served == anew
    await eventually(lambda: few_in_memory(features, token))
    some = USERS[::5]
    answers = await asyncio.gather(*[features.client.get_user_features(user, token) for user in some])
    told = {(answer.event_counts["rate"], answer.consumed_item_count) for answer in answers}
    assert told == {(ROUNDS, ROUNDS * ITEMS)}


async def let_go(running: Running, users: list[str]) -> None:
    """Write an event of each user; then so many others come that they leave memory. Of users whose events are folded
    together none is the oldest, so these are folded first."""
    await number_of_users(running, await written(running, [message("rate", user) for user in users]))
    crowd = [f"{uuid.uuid4()}" for _ in range(IN_MEMORY + 10)]
    token = await written(running, [message("rate", user) for user in crowd])
    await eventually(lambda: few_in_memory(running, token))


@pytest.mark.parametrize(
    "damage", [sa.update(user_states).values(departed=b"\1" * 8), sa.delete(user_states)]
)
async def test_a_user_whose_stored_row_is_damaged_comes_back_as_the_log_says(features, damage):
    users = [f"read-{damage.__visit_name__}", f"folded-{damage.__visit_name__}"]
    await let_go(features, users)
    of_users = user_states.c.user_key.in_([signed(user_key(user)) for user in users])
    async with features.space.engine.begin() as connection:
        assert (await connection.execute(damage.where(of_users))).rowcount == 2
    read = await features.client.get_user_features(users[0])
    folded = await features.client.get_user_features(
        users[1], await written(features, [message("click", users[1])])
    )
    assert [dict(each.event_counts) for each in (read, folded)] == [{"rate": 1}, {"rate": 1, "click": 1}]
    assert await features.metric("feature", "freshet_users_rebuilt_total") >= 2


async def test_while_postgres_is_frozen_users_in_memory_are_recommended_to_as_ever(features, brokers):
    await let_go(features, ["left"])
    await features.client.get_user_features("stays", await written(features, [message("rate", "stays")]))
    users = ["stays", *["left", "stays"] * 5]  # the first call goes alone, the others share a batch
    async with without_postgres(brokers, "frozen"):
        answers = await asyncio.gather(*[features.client.recommend(user) for user in users])
    says_so = [DegradedReason.DEGRADED_REASON_FEATURES_UNAVAILABLE in answer.degraded for answer in answers]
    assert says_so == [user == "left" for user in users]
