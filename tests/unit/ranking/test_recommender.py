"""Calls that wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from services.ranking.answers.policy import Wish
from services.ranking.answers.recommender import Call, Limits, Recommender, Served
from services.ranking.features.feature_instances import FeatureInstances
from services.ranking.features.trending import Trending
from services.ranking.features.user_state import UserState
from services.ranking.model.model_slot import ModelSlot
from shared.domain.owners import parse_owners
from shared.runtime.errors import Refusal
from tests.conditions import eventually
from tests.unit.ranking.model import NO_KEYS, catalogue, state

BATCH, WAITING = 2, 4


class _Held:
    """States of position 9, or what was asked for up to `position`, that are told once they are let go. asked: users of
    each read; waits: how long it may take, by user. Users from 100 on are another instance's."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.position = 9
        self.asked: list[list[int]] = []
        self.waits: dict[int, float] = {}

    def owner_of(self, user_key: int) -> str:
        return f"instance {user_key // 100}"

    def reflects(self, user_key: int, position: int) -> bool:
        return position <= 9

    async def read(
        self, user_keys: Sequence[int], min_positions: Sequence[int], wait_seconds: float
    ) -> list[UserState]:
        self.asked.append(list(user_keys))
        self.waits |= dict.fromkeys(user_keys, wait_seconds)
        await self.go.wait()
        told = max(9, min(self.position, max(min_positions)))
        return [state()._replace(position=told) for _ in user_keys]


@pytest_asyncio.fixture
async def held() -> AsyncIterator[tuple[Recommender, _Held]]:
    """A recommender of which two batches are under way and can answer nobody yet."""
    states, known = _Held(), catalogue()
    trending = Trending(FeatureInstances(parse_owners("127.0.0.1:1", 4), {"127.0.0.1:1": _Channel()}), 1.0)
    recommender = Recommender(states, trending, ModelSlot(known), known, Limits(BATCH, WAITING))  # type: ignore[arg-type]
    running = asyncio.create_task(recommender.run())
    first = call(recommender, 1)
    await eventually(lambda: states.asked == [[1]])
    rest = [call(recommender, user) for user in (2, 3)]
    await eventually(lambda: states.asked == [[1], [2, 3]])
    yield recommender, states
    states.go.set()
    await asyncio.gather(first, *rest)
    running.cancel()


class _Channel:
    """Nobody is called."""

    def unary_unary(self, *_: object, **__: object) -> None:
        return None


def call(recommender: Recommender, user: int, position: int = 0, wait: float = 0.0) -> asyncio.Task[Served]:
    """One call that waits."""
    return asyncio.create_task(recommender.recommend(Call(user, position, wait, Wish(2, NO_KEYS))))


async def test_who_gave_up_is_not_answered(held):
    recommender, states = held
    gone, patient = call(recommender, 4), call(recommender, 5)
    await asyncio.sleep(0)
    gone.cancel()
    states.go.set()
    await patient
    assert states.asked == [[1], [2, 3], [5]]


async def test_who_gave_up_keeps_nobody_else_out(held):
    recommender, states = held
    gone = [call(recommender, user) for user in range(4, 4 + WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Refusal):
        await call(recommender, 8)
    for each in gone:
        each.cancel()
    await asyncio.wait(gone)
    waiting = call(recommender, 9)
    states.go.set()
    assert len((await waiting).answer.items) == 2


@pytest.mark.parametrize("hasty, patient", [(0.0, 0.24), (0.04, 0.24), (4.0, 4.6)])
async def test_a_call_that_may_wait_longer_gives_up_no_sooner_for_anothers_sake(held, hasty, patient):
    recommender, states = held
    calls = [call(recommender, 4, 10, hasty), call(recommender, 5, 10, patient)]
    await asyncio.sleep(0)
    states.go.set()
    await asyncio.gather(*calls)
    assert (states.waits[4], states.waits[5]) == (hasty, patient)


async def test_calls_that_may_wait_about_as_long_wait_together(held):
    recommender, states = held
    calls = [call(recommender, 4, 10, 1.98), call(recommender, 5, 10, 1.99)]
    await asyncio.sleep(0)
    states.go.set()
    await asyncio.gather(*calls)
    assert states.asked[-1] == [4, 5]


async def test_a_call_is_answered_as_soon_as_its_position_is_reached_whatever_others_ask_for(held):
    recommender, states = held
    states.position = 11
    calls = [call(recommender, 4, 12, 1.98), call(recommender, 5, 11, 1.98)]
    await asyncio.sleep(0)
    states.go.set()
    assert [served.state.position for served in await asyncio.gather(*calls)] == [11, 11]
    assert states.asked[-2:] == [[4, 5], [4]]


async def test_calls_of_two_instances_users_wait_apart(held):
    recommender, states = held
    calls = [call(recommender, user, 10, 1.98) for user in (4, 104)]
    await asyncio.sleep(0)
    states.go.set()
    await asyncio.gather(*calls)
    assert sorted(states.asked[-2:]) == [[4], [104]]
