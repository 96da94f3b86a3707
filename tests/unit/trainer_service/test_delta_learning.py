"""From the log to deltas: each event is told once, in order, and none that a delta has told before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.deltas import delta_learning
from services.trainer.deltas.delta_learning import DeltaLearner
from shared.adapters.codecs.keys import item_key
from shared.domain.events.event import EventType
from shared.domain.events.event_batch import EventBatch
from shared.domain.events.event_columns import EventColumns
from shared.domain.models.delta import Chain, Delta
from shared.domain.models.following import Roles
from shared.domain.models.mixture import Mixture
from tests.builders import bundle, event

CLICK = frozenset({EventType.CLICK})
A, B, C, NEW = (item_key(each) for each in ("a", "b", "c", "n"))
LOG_TO = 100


def learner(chain: Chain | None = None, weight: float = 1.0, users: int = 10) -> DeltaLearner:
    """Of a model that has learned up to position 100, of items a, b and c."""
    made = bundle()
    made = replace(made, manifest=replace(made.manifest, mixture=Mixture(weight)))
    return DeltaLearner(made, Roles(CLICK, CLICK, frozenset()), users, chain or Chain("m", LOG_TO))


def batch(*items: int, start: int = LOG_TO + 1, user: int = 7) -> EventBatch:
    """One click after the other."""
    return EventBatch.of([event(start + at, items=[item], user_key=user) for at, item in enumerate(items)])


def pairs(delta: Delta) -> dict[tuple[int, int], float]:
    keys = zip(delta.rule_keys.tolist(), delta.follower_keys.tolist(), strict=True)
    return dict(zip(keys, delta.counts.tolist(), strict=True))


def test_what_followed_what_is_told_once():
    learning = learner()
    learning.fold(batch(A, B, C))
    told = learning.next_delta(0)
    assert pairs(told) == pytest.approx({(A, B): 1.0, (B, C): 1.0, (A, C): 0.9})
    assert (told.sequence, told.to_position) == (1, 103)
    assert learning.next_delta(0) is None


def test_each_delta_follows_the_one_before():
    learning, chain = learner(), Chain("m", LOG_TO)
    for start, items in ((101, (A, B)), (103, (C,)), (104, (A,))):
        learning.fold(batch(*items, start=start))
        told = learning.next_delta(0)
        chain.check(told)
        chain.advance(told)
    assert (chain.sequence, chain.to_position) == (3, 104)


def test_earlier_events_of_a_user_are_followed_but_not_told():
    learning = learner()
    unknown = learning.unknown_users(batch(B, C))
    assert unknown == {7: 101}
    learning.recall(long_ago(A))
    assert learning.unknown_users(batch(B)) == {}
    learning.fold(batch(B))
    assert pairs(learning.next_delta(0)) == {(A, B): 1.0}


def long_ago(item: int, user: int = 7) -> EventColumns:
    """One click of the user long ago."""
    return replace(
        EventColumns.empty(),
        position=np.array([1]),
        user_key=np.array([user], np.uint64),
        item_key=np.array([item], np.uint64),
        event_type=np.array([int(EventType.CLICK)]),
        time_ms=np.array([0]),
        value=np.array([np.nan], np.float32),
    )


def test_to_recall_some_users_of_a_batch_does_not_forget_the_others():
    learning = learner(users=2)
    learning.fold(batch(A, user=1))
    learning.fold(batch(A, start=102, user=2))
    both = EventBatch.of([event(103, items=[B], user_key=3), event(104, items=[C], user_key=1)])
    assert learning.unknown_users(both) == {3: 103}
    learning.recall(long_ago(A, user=3))
    learning.fold(both)
    assert pairs(learning.next_delta(0)) == {(A, B): 1.0, (A, C): 1.0}


def test_a_learner_that_comes_back_tells_only_what_is_new():
    before = learner()
    before.fold(batch(A, B))
    chain = Chain("m", LOG_TO)
    chain.advance(before.next_delta(0))
    back = learner(chain)
    back.fold(batch(A))
    assert back.next_delta(0) is None
    back.fold(batch(B, C, start=102))
    told = back.next_delta(0)
    assert (told.sequence, pairs(told)) == (2, pytest.approx({(A, C): 0.9, (B, C): 1.0}))


def test_many_pairs_are_told_in_parts_that_end_where_the_log_does(monkeypatch):
    monkeypatch.setattr(delta_learning, "MOST_PAIRS", 1)
    learning = learner()
    learning.fold(batch(A, B, C))
    first, second = learning.next_delta(0), learning.next_delta(0)
    assert (first.to_position, pairs(first)) == (102, {(A, B): 1.0})
    assert (second.to_position, len(pairs(second))) == (103, 2)


def test_a_new_item_gets_its_row_before_its_rules():
    learning = learner()
    learning.items.describe(NEW, [])
    learning.fold(batch(A, NEW))
    told = learning.next_delta(0)
    assert told.item_keys.tolist() == [NEW] and pairs(told) == {(A, NEW): 1.0}


def test_rules_of_new_items_wait_until_all_rows_are_told(monkeypatch):
    monkeypatch.setattr(delta_learning, "ROW_BYTES", 1)
    learning, items = learner(), [item_key(f"new-{number}") for number in range(5)]
    for each in items:
        learning.items.describe(each, [])
    learning.fold(batch(A, *reversed(items)))
    told = list(iter(lambda: learning.next_delta(0), None))
    assert [(len(each.item_keys), len(each.counts) > 0) for each in told] == [(1, False)] * 4 + [(1, True)]
    assert len(pairs(told[-1])) == 6 * 5 // 2 and told[-1].to_position == 106


def test_a_trainer_that_ends_while_rows_are_told_tells_the_rules_again(monkeypatch):
    monkeypatch.setattr(delta_learning, "ROW_BYTES", 1)
    first = learner()
    for each in ("m", "n"):
        first.items.describe(item_key(each), [])
    first.fold(batch(A, item_key("m"), NEW))
    told = first.next_delta(0)
    back = learner(Chain("m", LOG_TO))
    back.chain.take_up(told)
    assert told.to_position == LOG_TO and back.chain.sequence == 1


def test_rules_of_items_without_a_row_are_not_told():
    learning = learner()
    learning.items.describe(item_key("m"), [])
    learning.fold(batch(NEW, item_key("m")))
    assert learning.next_delta(0) is None


def test_of_an_item_that_the_catalogue_does_not_have_nothing_is_told():
    learning = learner()
    learning.fold(batch(A, NEW, B))
    told = learning.next_delta(0)
    assert pairs(told) == pytest.approx({(A, B): 0.9}) and not len(told.item_keys)


def test_an_erased_users_past_teaches_nothing():
    learning = learner()
    learning.fold(batch(A))
    learning.forget(7)
    learning.fold(batch(B, start=102))
    assert learning.unknown_users(batch(C)) == {} and learning.next_delta(0) is None


def test_an_event_that_the_log_holds_twice_is_learned_once():
    learning = learner()
    learning.fold(batch(A, B))
    again = EventBatch.of([event(110, event_key=LOG_TO + 2, items=[C], user_key=7)])
    learning.fold(again)
    assert pairs(learning.next_delta(0)) == {(A, B): 1.0}


def test_a_model_without_rules_is_told_of_new_items_only():
    learning = learner(weight=0.0)
    learning.items.describe(NEW, [])
    learning.fold(batch(A, B, NEW))
    told = learning.next_delta(0)
    assert told.item_keys.tolist() == [NEW] and not len(told.counts)
