"""What ranking remembers of users while the feature service is away."""

from __future__ import annotations

import numpy as np

from services.ranking.user_states import UserStates
from tests.unit.ranking.model import state


def test_a_remembered_state_keeps_no_batch_in_memory():
    states = UserStates(_Channel(), timeout_seconds=1.0)
    batch = np.stack([state("a").item_key] * 32)
    states._remember([1], [state("a")._replace(item_key=batch[0])])
    assert states._last[1].item_key.base is None
    assert np.array_equal(states._last[1].item_key, batch[0])


class _Channel:
    """A channel that nothing is sent on."""

    def unary_unary(self, *_: object, **__: object) -> None:
        return None
