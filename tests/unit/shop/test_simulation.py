"""A shop's log without a suite."""

import numpy as np
import pytest

from deploy.local.shop.simulation import Simulation, simulate

SMALL = Simulation(events=3_000, shoppers=30, items=60, seed=3)


def items_of(log) -> np.ndarray:
    """The item of each behaviour."""
    return np.array([item for past in log for item in past.behaviour.items])


@pytest.mark.parametrize("shift", [None, 0.5])
def test_the_log_has_exactly_as_many_events_as_asked_for_each_about_one_item(shift):
    _, log = simulate(Simulation(events=777, shoppers=20, items=50, shift=shift))
    assert [len(past.behaviour.items) for past in log] == [1] * 777


def test_the_log_is_ordered_by_time_and_equal_simulations_have_equal_logs():
    _, log = simulate(SMALL)
    times = [past.time for past in log]
    assert times == sorted(times)
    again = [(past.behaviour, past.time) for past in simulate(SMALL)[1]]
    assert again == [(past.behaviour, past.time) for past in log]


def test_new_items_are_touched_after_the_shift_only():
    _, log = simulate(Simulation(events=4_000, shoppers=40, items=60, shift=0.5, new_share=0.25))
    early, late = items_of(log[:1_900]), items_of(log[2_100:])
    assert len(np.unique(early)) <= 45
    assert len(np.setdiff1d(late, early)) >= 12


def test_with_the_shift_shoppers_turn_to_other_categories():
    # By how much each shopper's shares of categories in the first half differ from those in the second, 0 to 1.
    def turned(shift: float | None) -> float:
        catalogue, log = simulate(Simulation(events=6_000, shoppers=100, items=120, shift=shift, seed=1))
        category = catalogue.category[items_of(log)]
        user = np.unique([past.shopper.user_id for past in log], return_inverse=True)[1]
        counts = np.zeros((2, 100, 12))
        np.add.at(counts, (np.arange(6_000) // 3_000, user, category), 1)
        shares = counts / np.maximum(counts.sum(2, keepdims=True), 1)
        return float(np.abs(shares[0] - shares[1]).sum(1).mean() / 2)

    assert turned(0.5) > turned(None) + 0.15


@pytest.mark.parametrize("wrong", [{"shift": 1.0}, {"new_share": 0.2}, {"shift": 0.5, "new_share": 1.0}])
def test_shares_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        Simulation(**wrong)
