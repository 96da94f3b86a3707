"""The caller's candidates: every one is answered, in order, with the probabilities that are known."""

from __future__ import annotations

import numpy as np
import pytest

from services.ranking.answers.answering import answers
from services.ranking.answers.candidates import Candidates
from services.ranking.answers.policy import Answer, Fallback, Wish
from shared.adapters.codecs.keys import item_key, item_keys
from tests.unit.ranking.model import (
    ITEMS,
    NO_KEYS,
    catalogue,
    serving,
    state,
    sum_bundle,
    with_ranker,
)

SIGMOID_OF_1 = 1 / (1 + np.exp(-1))


@pytest.fixture(scope="module")
def model():
    return serving(made=with_ranker(sum_bundle()))


def trending(*item_ids: str, known=ITEMS) -> Fallback:
    scores = range(len(item_ids), 0, -1)
    return Fallback(dict(zip(item_keys(item_ids).tolist(), scores, strict=True)), catalogue(known))


def asked(*item_ids: str) -> Candidates:
    return Candidates(item_ids, item_keys(item_ids))


def one(wish, state_, model=None, fallback=None) -> Answer:
    return answers([wish], [state_], model, fallback or trending())[0]


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


def sources(answer: Answer) -> list[str]:
    return [item.source for item in answer.items]


def test_the_items_come_best_first_and_equal_ones_as_they_were_asked_for(model):
    answer = one(asked("d", "b", "a"), state("a"), model)
    assert ids(answer) == ["a", "d", "b"]
    assert answer.by_model


def test_nothing_is_left_out_not_even_what_the_user_has_had(model):
    assert ids(one(asked("a", "b"), state("a", consumed=["a"]), model)) == ["a", "b"]


def test_what_the_model_does_not_know_comes_behind_and_what_nobody_knows_last(model):
    answer = one(asked("nowhere", "new", "b"), state("a"), model, trending(known=(*ITEMS, "new")))
    assert list(zip(ids(answer), sources(answer), strict=True)) == [
        ("b", "model"),
        ("new", "catalogue"),
        ("nowhere", "unknown"),
    ]


def test_probabilities_go_with_their_items(model):
    answer = one(asked("b", "nowhere", "a"), state("a"), model)
    assert ids(answer) == ["a", "b", "nowhere"]
    expected = [[SIGMOID_OF_1, 0.5], [0.5, 0.5], [np.nan, np.nan]]
    np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-6)


def test_a_user_without_history_is_ranked_by_what_trends_and_has_probabilities(model):
    answer = one(asked("a", "nowhere", "b"), state(), model, trending("b"))
    assert list(zip(ids(answer), sources(answer), strict=True)) == [
        ("b", "trending"),
        ("a", "catalogue"),
        ("nowhere", "unknown"),
    ]
    assert not answer.by_model
    np.testing.assert_allclose(answer.probabilities[:2], 0.5)


def test_without_a_model_what_trends_comes_first_and_there_are_no_probabilities():
    answer = one(asked("a", "b"), state("a"), None, trending("b"))
    assert (ids(answer), sources(answer), answer.probabilities) == (
        ["b", "a"],
        ["trending", "catalogue"],
        None,
    )


def test_a_model_without_a_ranker_ranks_without_probabilities():
    answer = one(asked("b", "a"), state("a"), serving())
    assert (ids(answer), answer.probabilities) == (["a", "b"], None)


def test_recommendations_have_probabilities_only_when_asked_for(model):
    assert one(Wish(2, NO_KEYS), state("a"), model).probabilities is None
    answer = one(Wish(4, NO_KEYS, with_probabilities=True), state("a"), model)
    assert ids(answer)[0] == "a"
    np.testing.assert_allclose(answer.probabilities[:, 0], [SIGMOID_OF_1, 0.5, 0.5, 0.5], rtol=1e-6)


def test_recommendations_that_trend_have_probabilities_too(model):
    answer = one(Wish(1, NO_KEYS, with_probabilities=True), state(), model, trending("c"))
    assert (sources(answer), answer.probabilities.tolist()) == (["trending"], [[0.5, 0.5]])


def test_an_empty_recommendation_has_no_probabilities(model):
    everything = item_keys(ITEMS)
    assert one(Wish(3, everything, with_probabilities=True), state("a"), model).items == []


def test_calls_of_both_kinds_share_a_batch_and_answer_as_alone(model):
    wishes = [asked("b", "a"), Wish(2, NO_KEYS), asked("d"), Wish(1, NO_KEYS, with_probabilities=True)]
    states = [state("a"), state("b"), state(), state("c", "d")]
    together = answers(wishes, states, model, trending("d"))
    alone = [one(wish, state_, model, trending("d")) for wish, state_ in zip(wishes, states, strict=True)]
    assert [answer.items for answer in together] == [answer.items for answer in alone]
    for one_, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one_.probabilities, other.probabilities)


def test_scores_are_those_of_recommendations(model):
    recommended = one(Wish(4, NO_KEYS), state("a", "b"), model)
    ranked = one(asked(*ITEMS), state("a", "b"), model)
    assert {i.item_key: i.score for i in ranked.items} == {i.item_key: i.score for i in recommended.items}
    assert {i.item_key for i in ranked.items} == {item_key(each) for each in ITEMS}
