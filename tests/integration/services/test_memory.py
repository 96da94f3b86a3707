"""Users that left memory: they count on, and come back as they were, whatever happens to the service."""

from __future__ import annotations

import asyncio

import pytest

from tests.builders import message
from tests.conditions import eventually
from tests.integration.services.conftest import Running
from tests.integration.services.feature_calls import digests_served_and_anew, written

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


async def few_in_memory(running: Running) -> bool:
    users = [
        await running.metric("feature", f'freshet_users{{where="{where}"}}') for where in ("memory", "away")
    ]
    return users[0] <= IN_MEMORY and sum(users) >= len(USERS)


async def test_a_kill_under_load_loses_and_doubles_nothing_of_users_beyond_memory(features):
    load = Load(features)
    await eventually(lambda: load.round > ROUNDS // 4)
    await features.suite.kill("feature")
    await features.suite.start("feature")
    token = await load.all
    served, anew = await digests_served_and_anew(features, token)
    assert served == anew
    await eventually(lambda: few_in_memory(features))
    some = USERS[::5]
    answers = await asyncio.gather(*[features.client.get_user_features(user, token) for user in some])
    told = {(answer.event_counts["rate"], answer.consumed_item_count) for answer in answers}
    assert told == {(ROUNDS, ROUNDS * ITEMS)}
