"""What ranking remembers of users while the feature service is away."""

from __future__ import annotations

import numpy as np

from services.ranking.erased_users import ErasedUsers
from services.ranking.feature_instances import FeatureInstances
from services.ranking.user_state import UserState
from services.ranking.user_states import UserStates
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


def at(position: int) -> UserState:
    """A state that reflects a position."""
    return state("a")._replace(position=position)


def remembering(erased: ErasedUsers) -> UserStates:
    """Ranking's memory, told of erasures."""
    instances = FeatureInstances(parse_owners("127.0.0.1:1", 4), {"127.0.0.1:1": _Channel()})
    states = UserStates(instances, 1.0, erased)
    erased.on_erasure = states.forget
    return states


class _Channel:
    """A channel that nothing is sent on."""

    def unary_unary(self, *_: object, **__: object) -> None:
        return None
