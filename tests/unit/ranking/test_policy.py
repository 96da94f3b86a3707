"""From states, a model and what is trending to answers."""

from __future__ import annotations

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from services.ranking.answers.encoding import ages_of
from services.ranking.answers.policy import Answer, Fallback, Wish, rank
from shared.adapters.codecs.keys import item_keys
from tests.builders import catalogue_item
from tests.unit.ranking.model import ITEMS, NO_KEYS, catalogue, serving, state

ALL = Wish(10, NO_KEYS)


def trending(*item_ids: str, known=ITEMS) -> Fallback:
    scores = range(len(item_ids), 0, -1)
    return Fallback(dict(zip(item_keys(item_ids).tolist(), scores, strict=True)), catalogue(known))


def one(state_, wish=ALL, model=None, fallback=None) -> Answer:
    return rank([wish], [state_], model, fallback or trending("c", "a"))[0]


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


def sources(answer: Answer) -> list[str]:
    return [item.source for item in answer.items]


def test_the_model_ranks_for_a_user_whose_history_it_knows():
    answer = one(state("a", "a", "b"), model=serving())
    assert (ids(answer)[:2], answer.by_model) == (["a", "b"], True)
    assert [item.score for item in answer.items[:2]] == [2.0, 1.0]


def test_without_a_model_trending_comes_first_and_the_catalogue_after():
    answer = one(state("a"))
    assert (ids(answer), answer.by_model) == (["c", "a", "b", "d"], False)
    assert sources(answer) == ["trending", "trending", "catalogue", "catalogue"]


def test_a_user_without_history_gets_what_is_trending():
    assert sources(one(state(), Wish(2, NO_KEYS), serving())) == ["trending", "trending"]


def test_a_user_whose_items_the_model_does_not_know_gets_what_is_trending():
    assert not one(state("new"), model=serving()).by_model


def test_consumed_items_are_not_recommended_again():
    assert "a" not in ids(one(state("a", consumed=["a"]), model=serving()))
    assert "a" not in ids(one(state("a", consumed=["a"])))


def test_an_item_that_was_deleted_a_moment_ago_is_left_out_and_others_fill_its_place():
    fallback, model = trending(), serving()
    gone = catalogue_item("a", delete_time=Timestamp(seconds=1))
    fallback.catalogue.put(gone.SerializeToString(), 9)
    answer = one(state("a", "a", "b"), Wish(3, NO_KEYS), model, fallback)
    assert (sorted(ids(answer)), ids(answer)[0]) == (["b", "c", "d"], "b")


def test_excluded_items_are_left_out():
    wish = Wish(10, item_keys(["a", "c", "never heard of"]))
    assert sorted(ids(one(state("a"), wish, serving()))) == ["b", "d"]
    assert sorted(ids(one(state("a"), wish))) == ["b", "d"]


def test_items_that_the_catalogue_does_not_know_are_withheld():
    few = trending("c", "a", known=("a", "b"))
    assert sorted(ids(one(state("a"), model=serving(known=("a", "b")), fallback=few))) == ["a", "b"]
    assert ids(one(state("a"), fallback=few)) == ["a", "b"]


def test_what_the_model_does_not_know_fills_the_page_behind_what_it_does_each_item_once():
    more = (*ITEMS, "new", "newer")
    fallback = trending("new", "b", known=more)
    answer = one(state("a", "b", consumed=["a"]), Wish(5, NO_KEYS), serving(known=more), fallback)
    assert answer.by_model
    assert list(zip(ids(answer), sources(answer), strict=True))[-2:] == [
        ("new", "trending"),
        ("newer", "catalogue"),
    ]
    assert sources(answer)[:3] == ["model"] * 3
    assert len(set(ids(answer))) == 5


def test_a_page_that_the_model_fills_is_all_the_models():
    assert sources(one(state("a"), Wish(3, NO_KEYS), serving())) == ["model"] * 3


def test_the_page_size_is_kept():
    assert len(ids(one(state("a"), Wish(2, NO_KEYS), serving()))) == 2
    assert ids(one(state("a"), Wish(1, NO_KEYS))) == ["c"]


def test_nothing_at_all_is_an_empty_answer():
    assert one(state(), fallback=trending(known=())).items == []


def test_answers_do_not_depend_on_who_else_is_in_the_batch():
    states = [state("a"), state(), state("b", "c", length=6), state("new")]
    together = rank([ALL] * 4, states, serving(), trending("c", "a"))
    assert together == [one(each, model=serving()) for each in states]


def test_who_has_a_longer_history_of_which_the_model_knows_nothing_changes_nothing_for_the_others():
    states = [state("a"), state("new", length=6)]
    together = rank([ALL] * 2, states, serving(), trending("c", "a"))
    assert together == [one(each, model=serving()) for each in states]


def test_only_the_time_between_events_counts_however_long_ago_they_were():
    minute, long_ago = 60_000, 40 * 365 * 86_400_000
    recent = state("a", "b")
    times = recent.time_ms - np.array([0, 0, minute, 0])
    old = recent._replace(time_ms=times - long_ago)
    assert ages_of([old]).tolist() == ages_of([recent._replace(time_ms=times)]).tolist()
    assert ages_of([old])[0, 2] == 60.0
