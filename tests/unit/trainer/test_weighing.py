"""Rules count beside a model as much as questions speak for, and no otherwise than before where these do not tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.model.answering.answers import answer
from services.trainer.model.answering.evaluation import CaseOptions, judge, leave_one_out
from services.trainer.model.answering.scoring import ModelScorer
from services.trainer.model.mixing.baselines import Popularity
from services.trainer.model.mixing.ease import ease_rules
from services.trainer.model.mixing.mixture import MixedModel, MixtureScorer, learn_experts
from services.trainer.model.mixing.rules import learn_rules
from services.trainer.model.mixing.weighing import (
    EASE_WEIGHTS,
    ENOUGH_TO_CHOOSE,
    WEIGHTS,
    Weighing,
    choose_mixture,
    chosen_anew,
    nearest_good,
)
from services.trainer.model.sequences import EventRoles
from shared.domain.events.event_columns import EventColumns
from shared.domain.metrics.ranking_metrics import ndcg_gains
from shared.domain.models.mixture import Experts, Mixture
from tests.unit.trainer.builders import VIEW, events, random_model, walks

EVERY, VIEWS = EventRoles(), frozenset({VIEW})


def only(kind: str, log: EventColumns) -> Experts:
    """One kind of rules; the other knows nothing."""
    vocabulary = np.unique(log.item_key)
    if kind == "rules":
        return Experts(learn_rules(log, vocabulary, EVERY), None)
    return Experts(None, ease_rules(log, vocabulary, EVERY))


@pytest.mark.parametrize("kind", ["rules", "ease"])
def test_the_mixture_takes_the_rules_that_know_more_than_the_model(kind):
    held = leave_one_out(walks(n_items=40), CaseOptions(history_length=8))
    model, experts = ModelScorer(random_model(n_items=40)), only(kind, held.train)
    mixture = choose_mixture(held.cases, model, experts, VIEWS)
    found = judge(
        held.cases, {"model": model, "mixed": MixedModel(random_model(n_items=40), experts, mixture).scorer()}
    )
    assert (mixture.weight if kind == "rules" else mixture.ease_weight) > 0
    assert found["mixed"].ndcg > 1.5 * found["model"].ndcg


@pytest.mark.parametrize("levels", [1, 2, 5, 1_000])
def test_every_weight_is_judged_as_it_would_be_served(levels):
    held = leave_one_out(walks(n_users=60, n_items=80), CaseOptions(history_length=8))
    keys = np.unique(held.train.item_key)
    model = Popularity(keys, np.random.default_rng(0).integers(0, levels, len(keys)) / levels)
    experts = learn_experts(held.train.take(slice(0, 60)), keys, EVERY)
    weighing = Weighing(VIEWS)
    weighing.ask(held.cases, model, experts)
    found = np.concatenate(weighing.gains, axis=2)
    for place in ((0, 0), (0, 3), (4, 0), (7, 2)):
        weight, ease_weight = WEIGHTS[place[0]], EASE_WEIGHTS[place[1]]
        mixture = Mixture(weight, event_types=(VIEW,), ease_weight=ease_weight)
        served = MixtureScorer(model, experts, mixture)
        assert found[place] == pytest.approx(ndcg_gains(answer(held.cases, served, 10).ranks, 10))


def test_a_mixture_without_questions_is_the_model_alone():
    held = leave_one_out(events((1, 5)), CaseOptions())
    assert choose_mixture(held.cases, ModelScorer(random_model()), Experts(), VIEWS).weight == 0


FLAT = np.random.default_rng(0).normal(0.1, 0.2, (3, 4, 500))
"""Gains of 500 questions on a grid of 3 by 4, all alike but for chance."""


def test_where_questions_do_not_tell_better_the_usual_weights_are_taken():
    assert nearest_good(np.repeat(FLAT[:1, :1], 12, axis=1).reshape(3, 4, 500), (1, 2)) == (1, 2)


def test_what_is_better_for_certain_is_taken_however_far_from_the_usual():
    gains = FLAT.copy()
    gains[2, 0] += 1.0
    assert nearest_good(gains, (0, 3)) == (2, 0)


def test_one_question_is_no_reason_to_leave_the_usual():
    gains = np.zeros((3, 4, 1))
    gains[2, 3] = 1.0
    assert nearest_good(gains, (1, 1)) == (1, 1)


def test_of_what_is_as_good_as_the_best_the_nearest_to_the_usual_is_taken():
    gains = np.repeat(FLAT[:1, :1], 12, axis=1).reshape(3, 4, 500).copy()
    gains[0] -= 0.5
    gains[1] -= 0.5
    assert nearest_good(gains, (0, 3)) == (2, 3)


SERVED = Mixture(weight=0.1, event_types=(VIEW,), ease_weight=0.25)
ROLES = EventRoles(history=VIEWS, target=VIEWS, seen=VIEWS)
OPTIONS = CaseOptions(ROLES, history_length=8)


def served(log: EventColumns, learned: int) -> MixedModel:
    """A model that knows nothing, with rules of the first events."""
    items = np.arange(1, 41, dtype=np.uint64)
    experts = Experts(learn_rules(log.take(slice(0, learned)), items, ROLES), None)
    return MixedModel(random_model(n_items=40), experts, SERVED)


def test_what_came_since_gives_rules_more_weight_where_they_alone_know_it():
    log = walks(n_users=80, n_items=40, length=12)
    anew = chosen_anew(served(log, 480), log, 480, OPTIONS)
    assert anew.weight > SERVED.weight
    assert anew.event_types == SERVED.event_types


def test_rules_are_asked_with_what_they_learned_from_events_before_the_question(monkeypatch):
    monkeypatch.setattr("services.trainer.model.mixing.weighing.RULES_EVERY", 80)
    log = walks(n_users=80, n_items=40, length=12)
    unlearned = served(log, 80)
    assert chosen_anew(unlearned, log, 80, OPTIONS).weight > SERVED.weight
    monkeypatch.setattr("services.trainer.model.mixing.weighing.RULES_EVERY", len(log))
    assert chosen_anew(unlearned, log, 80, OPTIONS).weight == SERVED.weight


def test_what_a_recommendation_may_have_prompted_is_not_asked_for():
    log = walks(n_users=80, n_items=40, length=12)
    everything = np.ones(len(log), bool)
    assert chosen_anew(served(log, 480), log, 480, OPTIONS, everything) == SERVED
    assert chosen_anew(served(log, 480), log, 480, OPTIONS, ~everything).weight > SERVED.weight


def test_with_too_few_questions_the_weights_stay_as_they_were_served():
    log = walks(n_users=80, n_items=40, length=12)
    learned = len(log) - ENOUGH_TO_CHOOSE + 1
    assert chosen_anew(served(log, learned), log, learned, OPTIONS) == SERVED


def test_where_rules_know_nothing_of_what_came_the_weights_stay_as_they_were_served():
    log = walks(n_users=80, n_items=40, length=12)
    nothing = replace(served(log, 480), experts=Experts())
    drawn = np.random.default_rng(1).permutation(40)[log.item_key.astype(int) - 1].astype(np.uint64) + 1
    noise = replace(log, item_key=np.where(np.arange(len(log)) < 480, log.item_key, drawn))
    assert chosen_anew(nothing, noise, 480, OPTIONS) == SERVED
