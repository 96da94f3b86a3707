"""What ranking remembers of users while the feature service is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from freshet.feature.v1.state_pb2 import ReadUserStatesResponse
from services.ranking.features.erased_users import ErasedUsers
from services.ranking.features.feature_instances import FeatureInstances
from services.ranking.features.user_state import UserState
from services.ranking.features.user_states import UserStates
from shared.domain.owners import parse_owners
from tests.unit.ranking.model import state


def test_a_remembered_state_keeps_no_batch_in_memory():
    states = remembering(ErasedUsers())
    batch = np.stack([state("a").item_key] * 32)
    states._remember([1], [state("a")._replace(item_key=batch[0])])
    assert states._last[1].item_key.base is None
    assert np.array_equal(states._last[1].item_key, batch[0])


def test_an_erasure_makes_ranking_forget_the_user():
    erased = ErasedUsers()
    states = remembering(erased)
    states._remember([1, 2], [at(9), at(9)])
    erased.add(1, 10)
    assert list(states._last) == [2]


def test_a_state_that_was_read_before_an_erasure_is_not_remembered_after_it():
    erased = ErasedUsers()
    states = remembering(erased)
    erased.add(1, 10)
    states._remember([1], [at(9)])
    assert not states._last


def test_what_a_user_did_after_an_erasure_is_remembered():
    erased = ErasedUsers()
    states = remembering(erased)
    erased.add(1, 10)
    states._remember([1], [at(10)])
    assert list(states._last) == [1]


async def test_a_user_whose_state_is_out_of_reach_gets_what_was_last_known_and_the_others_what_is():
    states = remembering(ErasedUsers(), answer(absent_rows=[0]))
    states._remember([1], [at(9)])
    absent, present = await states.read([1, 2], [0, 0], 0.0)
    assert (absent.position, absent.stale, present.position, present.stale) == (9, True, 10, False)
    assert states._last[1].position == 9


def answer(absent_rows: Sequence[int]) -> ReadUserStatesResponse:
    """What the feature service says of two users at position 10."""
    empty = {"item_key": bytes(16), "event_type": bytes(2), "time_ms": bytes(16)}
    return ReadUserStatesResponse(
        history_length=1, consumed_end=[0, 0], positions=[10, 10], absent_rows=absent_rows, **empty
    )


def at(position: int) -> UserState:
    """A state that reflects a position."""
    return state("a")._replace(position=position)


def remembering(erased: ErasedUsers, told: ReadUserStatesResponse | None = None) -> UserStates:
    """Ranking's memory, told of erasures; the feature service says what it is `told` to."""
    instances = FeatureInstances(parse_owners("127.0.0.1:1", 4), {"127.0.0.1:1": _Channel(told)})
    states = UserStates(instances, 1.0, erased)
    erased.on_erasure = states.forget
    return states


class _Channel:
    """A channel on which every call gets the same answer."""

    def __init__(self, told: ReadUserStatesResponse | None) -> None:
        self._told = told

    def unary_unary(
        self, *_: object, **__: object
    ) -> Callable[..., Awaitable[ReadUserStatesResponse | None]]:
        async def call(*_: object, **__: object) -> ReadUserStatesResponse | None:
            return self._told

        return call
