"""Rules learned one event at a time are those that are learned from the whole log."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.model.mixing.rules import learn_rules
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.following import Following, Roles
from shared.domain.models.item_rules import ItemRules, RulePlan
from shared.domain.models.live_rules import LiveRules
from tests.unit.trainer.builders import PURCHASE, VIEW, events

SKIP, SEARCH = 15, 16
ROLES = EventRoles(frozenset({VIEW, PURCHASE, SKIP}), frozenset({VIEW, PURCHASE}), frozenset({PURCHASE}))
PLAN = RulePlan(window=3, distance_decay=0.5, shrinkage=2.0)
EVENTS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.sampled_from([VIEW, PURCHASE, SKIP, SEARCH])),
    min_size=1,
    max_size=40,
)


def following() -> Following:
    return Following(Roles(ROLES.history, ROLES.target, ROLES.seen), users=10, plan=PLAN)


def counts(rules: ItemRules) -> np.ndarray:
    """(V, V) of who followed whom."""
    dense = np.zeros((len(rules), len(rules)))
    for item in range(len(rules)):
        follower, count = rules.followers_of(item)
        dense[item, follower] = count
    return dense


def fold(fold: Following, columns: EventColumns, live: LiveRules, vocabulary: np.ndarray) -> None:
    """Each event's lesson goes into the rules at once."""
    for user, item, kind in zip(columns.user_key, columns.item_key, columns.event_type, strict=True):
        lessons = fold.follow(int(user), int(item), int(kind)).followed
        summed: dict[int, float] = {}
        for before, weight in lessons:
            summed[before] = summed.get(before, 0.0) + weight
        row = np.searchsorted(vocabulary, np.array(list(summed), np.uint64))
        follower = np.full(len(row), np.searchsorted(vocabulary, item))
        live.add(row, follower, np.array(list(summed.values()), np.float32))


@given(EVENTS, st.integers(0, 40))
def test_one_event_after_the_other_gives_what_all_of_them_give(rows, cut):
    log = events(*((user, item) for user, item, _ in rows), event_type=[kind for *_, kind in rows])
    vocabulary, known = np.unique(log.item_key), log.take(slice(0, cut))
    live = LiveRules(learn_rules(known, vocabulary, ROLES, PLAN), PLAN)
    folded = following()
    fold(folded, known, LiveRules(live.view, PLAN), vocabulary)  # recalled: what it teaches is known
    fold(folded, log.take(slice(cut, None)), live, vocabulary)
    expected = learn_rules(log, vocabulary, ROLES, PLAN)
    np.testing.assert_allclose(counts(live.view), counts(expected), atol=1e-5)
    np.testing.assert_allclose(live.view.total, expected.total, atol=1e-5)


def test_an_erased_users_next_event_follows_nothing():
    fold = following()
    fold.follow(1, 10, VIEW)
    fold.forget(1)
    assert fold.follow(1, 20, VIEW).followed == [] and fold.knows(1)


def test_users_who_were_not_active_for_the_longest_time_are_forgotten():
    fold = following()
    for user in range(11):
        fold.follow(user, 10, VIEW)
    assert not fold.knows(0) and fold.knows(1)
