"""Count models learn which items follow and accompany each other; the mixture trusts them as far as they earn it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from services.trainer.model.answering.evaluation import CaseOptions, judge, leave_one_out
from services.trainer.model.mixing.ease import ease_rules, learn_ease
from services.trainer.model.mixing.mixture import validation_of
from services.trainer.model.mixing.rules import RuleScorer, firing_rows, learn_rules
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.item_rules import GEOMETRIC, RulePlan
from tests.unit.trainer.builders import PURCHASE, VIEW, events, walks

PLAN = RulePlan(window=2, distance_decay=0.5, shrinkage=0.0)
EVERY, VIEWS = EventRoles(), frozenset({VIEW})


def followers(rules, item: int) -> dict[int, float]:
    follower, count = rules.followers_of(item)
    return dict(zip(follower.tolist(), (count / rules.total[item]).tolist(), strict=True))


def learned(columns, plan: RulePlan = PLAN, roles: EventRoles = EVERY):
    return learn_rules(columns, np.unique(columns.item_key), roles, plan)


def test_a_follower_counts_less_the_further_away_it_is():
    rules = learned(events((1, 10), (1, 20), (1, 30), (1, 40)))
    assert followers(rules, 0) == pytest.approx({1: 2 / 3, 2: 1 / 3})
    assert followers(rules, 3) == {}


def test_rules_do_not_cross_from_user_to_user():
    assert followers(learned(events((1, 10), (2, 20))), 0) == {}


def test_few_counts_give_small_shares():
    rules = learned(events((1, 10), (1, 20)), RulePlan(window=1, shrinkage=3.0))
    assert followers(rules, 0) == pytest.approx({1: 0.25})


def test_the_strongest_followers_are_kept():
    log = events((1, 10), (1, 20), (2, 10), (2, 20), (3, 10), (3, 30))
    assert followers(learned(log, RulePlan(window=1, shrinkage=0.0, followers=1)), 0) == pytest.approx(
        {1: 2 / 3}
    )


def test_what_is_not_worth_predicting_fires_no_rule_and_follows_by_none():
    log = events((1, 10), (1, 20), (1, 30), event_type=[VIEW, PURCHASE, VIEW])
    rules = learned(log, RulePlan(window=1, shrinkage=0.0), EventRoles(target=VIEWS))
    assert [followers(rules, item) for item in range(3)] == [{}, {}, {}]


@pytest.mark.parametrize(
    "learn", [learn_ease, lambda log: RuleScorer(np.unique(log.item_key), learned(log), EVERY)]
)
def test_count_models_find_what_comes_next_on_a_ring(learn):
    held = leave_one_out(walks(n_items=20, length=6), CaseOptions(history_length=8))
    assert judge(held.cases, {"": learn(held.train)}, k=3)[""].ndcg > 0.6


def served_ease(log, followers: int = 100) -> RuleScorer:
    vocabulary = np.unique(log.item_key)
    return RuleScorer(vocabulary, ease_rules(log, vocabulary, EVERY, followers), EVERY)


def test_ease_is_served_by_its_weights_above_zero_and_the_newest_events():
    log = walks(n_items=20, length=6)
    held = leave_one_out(log, CaseOptions(history_length=8)).cases.histories
    whole, served = learn_ease(log), served_ease(log)
    positive = np.maximum(whole._weights, 0.0)
    expected = learn_ease(log)
    expected._weights = positive
    assert served(held) == pytest.approx(expected(held), rel=1e-4, abs=1e-6)
    assert ease_rules(log, whole.item_keys, EVERY).recency is GEOMETRIC


def test_of_ease_the_largest_weights_of_each_item_are_kept():
    log = walks(n_items=20, length=6)
    whole, rules = learn_ease(log)._weights, ease_rules(log, np.unique(log.item_key), EVERY, followers=3)
    for item in range(20):
        largest = np.sort(np.argsort(-whole[item], kind="stable")[:3])
        assert rules.followers_of(item)[0].tolist() == largest[whole[item, largest] > 0].tolist()


def test_of_a_large_catalogue_the_most_popular_items_take_part_in_ease(monkeypatch):
    monkeypatch.setattr("services.trainer.model.mixing.ease.MOST_ITEMS", 2)
    log = events((1, 10), (1, 20), (1, 30), (2, 10), (2, 30), (3, 10), (3, 30), (4, 40))
    rules = ease_rules(log, np.unique(log.item_key), EVERY)
    assert rules.used.tolist() == [1, 0, 1, 0]
    assert (rules.followers_of(0)[0], rules.followers_of(2)[0]) == (2, 0)
    assert learn_ease(log, EVERY).item_keys.tolist() == [10, 30]


def test_of_many_items_ease_is_the_same_in_single_precision(monkeypatch):
    log = walks(n_items=20, length=6)
    exact = ease_rules(log, np.unique(log.item_key), EVERY)
    monkeypatch.setattr("services.trainer.model.mixing.ease.EXACT_UP_TO", 1)
    rounded = ease_rules(log, np.unique(log.item_key), EVERY)
    every = np.arange(20)[:, None]
    assert rounded.scores(every) == pytest.approx(exact.scores(every), rel=1e-3, abs=1e-5)


def test_ease_is_the_same_however_many_rows_are_gone_through_at_once(monkeypatch):
    log = walks(n_items=20, length=6)
    whole, weights = ease_rules(log, np.unique(log.item_key), EVERY, followers=3), learn_ease(log)._weights
    monkeypatch.setattr("services.trainer.model.mixing.ease._ROWS_AT_ONCE", 7)
    parts = ease_rules(log, np.unique(log.item_key), EVERY, followers=3)
    assert np.array_equal(learn_ease(log)._weights, weights)
    assert (parts.follower.tobytes(), parts.count.tobytes()) == (
        whole.follower.tobytes(),
        whole.count.tobytes(),
    )


def test_ease_of_many_items_takes_hardly_more_memory_than_one_matrix_of_them(monkeypatch):
    monkeypatch.setattr("services.trainer.model.mixing.ease.EXACT_UP_TO", 1)
    log = walks(n_users=1_500, n_items=1_500, length=2)
    vocabulary = np.unique(log.item_key)
    tracemalloc.start()
    ease_rules(log, vocabulary, EVERY, followers=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 4 * len(vocabulary) ** 2


def test_ease_of_nothing_scores_nothing():
    assert len(learn_ease(EventColumns.empty(), EVERY).item_keys) == 0


def test_of_few_users_several_events_are_asked_for_each_with_what_came_before():
    made = validation_of(walks(n_users=5, n_items=60, length=41), CaseOptions(history_length=60))
    users, counts = np.unique(made.cases.user_keys, return_counts=True)
    assert (len(users), set(counts.tolist()), len(made.learn)) == (5, {4}, 185)
    assert made.cases.histories.mask.sum(axis=1).reshape(4, 5).tolist() == [[n] * 5 for n in (37, 38, 39, 40)]


def test_of_many_users_some_are_asked(monkeypatch):
    monkeypatch.setattr("services.trainer.model.mixing.mixture.QUESTIONS", 7)
    made = validation_of(walks(n_users=30), CaseOptions())
    assert len(np.unique(made.cases.user_keys)) == len(made.cases) == 7


def test_of_large_catalogues_less_is_asked(monkeypatch):
    monkeypatch.setattr("services.trainer.model.mixing.mixture.SCORES", 7 * 20)
    assert len(validation_of(walks(n_users=30, n_items=20), CaseOptions()).cases) == 7


@pytest.fixture
def all_asked(monkeypatch):
    """Of every event at most, so that short logs will do."""
    monkeypatch.setattr("services.trainer.model.mixing.mixture._SHARE", 1)


def test_validation_asks_for_each_users_last_event_and_learns_the_rest(all_asked):
    log = events((1, 10), (1, 20), (2, 10), (2, 30), (2, 20))
    made = validation_of(log, CaseOptions())
    assert made.cases.targets.tolist() == [20, 20]
    assert made.learn.item_key.tolist() == [10, 10, 30]


def test_what_a_recommendation_has_prompted_is_not_asked_for_while_there_is_enough_else(
    monkeypatch, all_asked
):
    monkeypatch.setattr("services.trainer.model.mixing.mixture.ENOUGH_OWN", 2)
    log = events((1, 10), (1, 20), (1, 30), (2, 10), (2, 30), (2, 20))
    made = validation_of(log, CaseOptions(), own=np.array([True, True, False, True, True, False]))
    assert set(made.cases.targets.tolist()) == {20, 30}
    assert (1, 30) not in zip(made.cases.user_keys.tolist(), made.cases.targets.tolist(), strict=True)
    assert {(1, 30), (2, 20)} <= set(
        zip(made.learn.user_key.tolist(), made.learn.item_key.tolist(), strict=True)
    )


def test_where_almost_everything_was_prompted_it_is_asked_for_all_the_same(monkeypatch, all_asked):
    monkeypatch.setattr("services.trainer.model.mixing.mixture.ENOUGH_OWN", 2)
    log = events((1, 10), (1, 20), (2, 10), (2, 30), (2, 20))
    every = validation_of(log, CaseOptions())
    asked = validation_of(log, CaseOptions(), own=np.array([True, True, True, False, False]))
    assert asked.cases.targets.tolist() == every.cases.targets.tolist()


def test_of_short_histories_a_tenth_is_asked_and_the_rest_can_still_be_learned():
    made = validation_of(walks(n_users=40, length=2), CaseOptions())
    assert (len(made.cases), len(made.learn)) == (4, 76)


def test_nobody_is_asked_of_whom_nothing_is_known():
    once, often = [(user, user) for user in range(40)], [(1, item) for item in range(50, 60)]
    made = validation_of(events(*once, *often), CaseOptions())
    assert set(made.cases.user_keys.tolist()) == {1}


@pytest.mark.parametrize("events_each", [2, 4])
def test_many_users_of_one_event_do_not_cost_the_others_what_is_to_be_learned(events_each):
    once = [(user, user % 9) for user in range(100, 2000)]
    others = walks(n_users=20, length=events_each)
    both = zip(others.user_key.tolist(), others.item_key.tolist(), strict=True)
    made = validation_of(events(*once, *both), CaseOptions())
    assert len(made.cases) == 20 * (events_each - 1) // 10


def test_of_a_single_event_that_can_be_learned_none_is_held_out():
    assert len(validation_of(events((1, 5), (1, 6)), CaseOptions()).cases) == 0


def test_what_follows_a_held_out_event_on_its_item_is_held_out_with_it(all_asked):
    log = events(
        (1, 10), (1, 20), (1, 20), (1, 30), (2, 20), event_type=[VIEW, VIEW, PURCHASE, PURCHASE, VIEW]
    )
    roles = EventRoles(target=frozenset({VIEW, PURCHASE}), seen=frozenset({VIEW}))
    made = validation_of(log.take(np.array([0, 1, 2, 4])), CaseOptions(roles))
    assert made.cases.targets.tolist() == [20]
    assert list(zip(made.learn.user_key.tolist(), made.learn.item_key.tolist(), strict=True)) == [
        (1, 10),
        (2, 20),
    ]


def test_events_on_unknown_items_leave_no_gap():
    held = leave_one_out(events((1, 10), (1, 99), (1, 20), (1, 30)), CaseOptions(history_length=4))
    assert firing_rows(held.cases.histories, np.array([10, 20], np.uint64), None).tolist() == [[-1, -1, 0, 1]]
