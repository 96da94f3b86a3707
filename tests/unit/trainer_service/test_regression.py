"""When a champion is rolled back, and what is said about it."""

import pytest

from services.trainer.policies.regression import Comparison, judge_regression, look_is_due

WORSE = Comparison(400, "b", "a", champion=0.08, predecessor=0.1, difference=-0.02, low=-0.03, high=-0.01)
MIN_USERS = 100


def test_a_champion_whose_interval_lies_below_zero_is_rolled_back_and_the_numbers_say_why():
    assert judge_regression(WORSE, MIN_USERS) == (
        True,
        "champion b does worse online than its predecessor a: NDCG@10 0.0800 against 0.1000 on 400 users, "
        "difference -0.0200, 95 % interval -0.0300 to -0.0100",
    )


@pytest.mark.parametrize(
    "difference, low, high, words",
    [
        (-0.02, -0.05, 0.0, "not clearly worse"),
        (0.0, -0.01, 0.01, "not clearly worse"),
        (0.02, 0.01, 0.03, "better"),
    ],
)
def test_a_champion_whose_interval_reaches_zero_stays(difference, low, high, words):
    verdict = judge_regression(WORSE._replace(difference=difference, low=low, high=high), MIN_USERS)
    assert not verdict.rolled_back
    assert f"champion b does {words} online than its predecessor a" in verdict.reason


def test_too_few_users_are_no_reason_to_roll_back():
    assert judge_regression(WORSE._replace(users=99), MIN_USERS) == (
        False,
        "too little traffic later than both models' training to judge by: 99 users, 100 are needed",
    )


def test_a_first_look_waits_for_as_many_events_as_users_are_needed():
    assert [look_is_due(events, 0, MIN_USERS) for events in (99, 100)] == [False, True]


def test_the_next_look_waits_until_traffic_has_grown_by_a_quarter():
    assert [look_is_due(events, 400, MIN_USERS) for events in (400, 499, 500)] == [False, False, True]
