"""What rules add to a few items is what they add to all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.domain.models.mixture import Experts, Mixture
from tests.unit.domain.test_item_rules import some_rules


@given(some_rules(), st.sampled_from([0.0, 0.5]), st.data())
def test_candidates_gain_what_they_gain_among_all_items(rules, ease_weight, data):
    users = data.draw(st.integers(1, 3))
    last = len(rules) - 1
    fired = data.draw(arrays(np.int64, (users, 4), elements=st.integers(-1, last)))
    items = data.draw(arrays(np.int64, (users, 5), elements=st.integers(-1, last)))
    mixture, experts = Mixture(weight=1.5, floor=0.1, ease_weight=ease_weight), Experts(rules, rules)
    everything = np.zeros((users, len(rules)), np.float32)
    mixture.add(everything, experts, fired)
    expected = np.where(items >= 0, np.take_along_axis(everything, items, axis=1), 0)
    np.testing.assert_allclose(mixture.candidate_gains(experts, fired, items), expected, rtol=1e-5)
